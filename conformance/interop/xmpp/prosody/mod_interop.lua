-- What the interoperability programs expect of a server beyond XMPP: accounts by POST /api/register, as in Hallway's demo mode, and the
-- channels that are there from the start. It is loaded on the host and on the rooms' component.

if module:get_host_type() == "component" then
	local muc = module:depends "muc"
	for _, name in ipairs { "lobby", "help" } do
		muc.create_room(name .. "@" .. module.host)
	end
	return
end

local json = require "util.json"
local users = require "core.usermanager"

local function register(event)
	local wanted = json.decode(event.request.body)
	if not wanted or type(wanted.uid) ~= "string" or type(wanted.password) ~= "string" then
		return 400
	elseif users.user_exists(wanted.uid, module.host) then
		return 409
	end
	local made = users.create_user(wanted.uid, wanted.password, module.host)
	return made and 200 or 500
end

module:depends "http"
module:provides("http", { default_path = "/api", route = { ["POST /register"] = register } })
