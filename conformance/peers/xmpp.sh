#!/usr/bin/env bash
# Debian's Prosody and ejabberd as peers of the XMPP benchmark, tuned and with the benchmark's accounts (bench00000, bench00001, …).
#
#     xmpp.sh prosody|ejabberd|both ACCOUNTS [COMMAND ARGUMENT…]
#
# Prints an option of the benchmark per server, --peer NAME=PLAIN,TLS (TLS: from the first byte on). With a COMMAND it runs that with these
# options at its end, and its exit status is the command's; without one it waits until it is ended (Ctrl-C, SIGTERM, or the end of its
# stdin). Then the servers are stopped and everything of theirs is removed: it lies in a temporary directory, and they listen on free
# ports of loopback only. They have the cores CPUS, 0,1 unless it is given (the benchmark's --cpus). Fan-out of 1,000 needs 1,001
# accounts, 1,000 pairs 2,000, idle and storm 5,000.
#
# Needs the packages prosody, prosody-modules, ejabberd, erlang-p1-sqlite3, sqlite3, openssl and curl. EJABBERD_ARCHIVE=mnesia keeps
# ejabberd's archives in its own tables, which get slower with every message, instead of in SQLite. PROSODY_BACKEND=event takes
# libevent instead of epoll (package lua-event). KEEP=1 leaves the directory.
#
# Tuning: no rate limits, shapers or ping; passwords as they are (no hashing at login); rooms with an archive (MAM) and nobody told of
# who comes and goes; archives of direct chats too; no federation; only the log's errors.
set -uo pipefail

if [ $# -lt 2 ]; then sed -n '2,17p' "$0"; exit 2; fi
which=$1 accounts=$2
shift 2
case $which in prosody | ejabberd | both) ;; *) echo "no such server: $which" >&2; exit 2 ;; esac
[[ $accounts =~ ^[0-9]{1,5}$ ]] || { echo "not a number of accounts: $accounts" >&2; exit 2; }
password='bench password'
ready_within_s=30
# The servers that were started here; only these are ended.
servers=()
options=()
work=$(mktemp -d /tmp/bench-xmpp-XXXXXX)

finish() {
  local pid
  for pid in ${servers[@]+"${servers[@]}"}; do kill -TERM "$pid" 2> /dev/null; done
  for pid in ${servers[@]+"${servers[@]}"}; do
    for _ in $(seq 100); do kill -0 "$pid" 2> /dev/null || break; sleep 0.1; done
    kill -KILL "$pid" 2> /dev/null
    wait "$pid" 2> /dev/null
  done
  [ -n "${KEEP:-}" ] || rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM HUP
# From the start on: a server counts its cores when it starts.
taskset -c -p "${CPUS:-0,1}" $$ > /dev/null || exit 1
# The connections of 5,000 clients, and what is open besides.
ulimit -n "$(ulimit -Hn)"

# Below the range from which the system gives connections their ports, so that between this and the start none takes it.
next_port=$((20000 + RANDOM % 8000))
free_port() {
  while (: < "/dev/tcp/127.0.0.1/$next_port") 2> /dev/null; do next_port=$((next_port + 1)); done
  port=$next_port
  next_port=$((next_port + 1))
}

# NAME PID PORT…
await() {
  local name=$1 pid=$2 deadline=$((SECONDS + ready_within_s)) port
  shift 2
  for port; do
    until (: < "/dev/tcp/127.0.0.1/$port") 2> /dev/null; do
      if ! kill -0 "$pid" 2> /dev/null || [ $SECONDS -ge $deadline ]; then
        echo "$name does not listen on port $port:" >&2
        tail -n 20 "$work/$name"/*.log >&2
        exit 1
      fi
      sleep 0.1
    done
  done
}

certificate() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$1/key.pem" -out "$1/cert.pem" -days 2 \
    -subj /CN=localhost -addext subjectAltName=DNS:localhost,DNS:rooms.localhost,IP:127.0.0.1 2> /dev/null || exit 1
  cat "$1/key.pem" "$1/cert.pem" > "$1/both.pem"
}

start_prosody() {
  local dir=$work/prosody plain tls number
  mkdir -p "$dir/data/localhost/accounts"
  certificate "$dir"
  free_port; plain=$port
  free_port; tls=$port
  for ((number = 0; number < accounts; number++)); do
    printf 'return {\n\t["password"] = "%s";\n};\n' "$password" > "$dir/data/localhost/accounts/$(printf 'bench%05d' "$number").dat"
  done
  cat > "$dir/prosody.cfg.lua" << END
run_as_root = true
pidfile = "$dir/prosody.pid"
data_path = "$dir/data"
log = { { levels = { min = "error" }, to = "file", filename = "$dir/prosody.log" } }
network_backend = "${PROSODY_BACKEND:-epoll}"
network_settings = { tcp_backlog = 4096 }
gc = { mode = "generational" }
modules_enabled = { "roster", "saslauth", "tls", "disco", "ping", "smacks", "mam" }
modules_disabled = { "s2s", "limits" }
interfaces = { "127.0.0.1" }
c2s_ports = { $plain }
c2s_direct_tls_ports = { $tls }
s2s_ports = {}
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
authentication = "internal_plain"
storage = "internal"
archive_expires_after = "never"
default_archive_policy = true
certificates = "$dir"
ssl = { key = "$dir/key.pem", certificate = "$dir/cert.pem" }
c2s_direct_tls_ssl = { key = "$dir/key.pem", certificate = "$dir/cert.pem" }
VirtualHost "localhost"
Component "rooms.localhost" "muc"
  modules_enabled = { "muc_mam" }
  muc_room_locking = false
  muc_log_by_default = true
  muc_log_presences = false
  muc_room_default_presence_broadcast = { visitor = false, participant = false, moderator = false }
END
  prosody --config "$dir/prosody.cfg.lua" -F < /dev/null > "$dir/out.log" 2>&1 &
  servers+=($!)
  await prosody $! "$plain" "$tls"
  options+=(--peer "prosody=127.0.0.1:$plain,127.0.0.1:$tls")
}

start_ejabberd() {
  local dir=$work/ejabberd plain tls http pid archive
  mkdir -p "$dir/spool"
  certificate "$dir"
  free_port; plain=$port
  free_port; tls=$port
  free_port; http=$port
  archive=${EJABBERD_ARCHIVE:-sql}
  if [ "$archive" = sql ]; then
    sqlite3 "$dir/archive.db" 'PRAGMA journal_mode=WAL' > /dev/null || exit 1
    sqlite3 "$dir/archive.db" < /usr/share/ejabberd/sql/lite.sql || exit 1
  fi
  cat > "$dir/ejabberd.yml" << END
sql_type: sqlite
sql_database: "$dir/archive.db"
hosts: [localhost]
loglevel: error
certfiles: ["$dir/both.pem"]
auth_method: internal
auth_password_format: plain
max_fsm_queue: 1000000
disable_sasl_mechanisms: ["X-OAUTH2", "digest-md5"]
listen:
  - { port: $plain, ip: "127.0.0.1", module: ejabberd_c2s, shaper: none, backlog: 4096, max_fsm_queue: 1000000, starttls: false }
  - { port: $tls, ip: "127.0.0.1", module: ejabberd_c2s, shaper: none, backlog: 4096, max_fsm_queue: 1000000, tls: true }
  - { port: $http, ip: "127.0.0.1", module: ejabberd_http, request_handlers: { /api: mod_http_api } }
api_permissions:
  bench: { who: { ip: 127.0.0.1/8 }, what: [register] }
modules:
  mod_admin_extra: {}
  mod_disco: {}
  mod_http_api: {}
  mod_mam: { db_type: $archive, default: always, assume_mam_usage: true, cache_size: 100000 }
  mod_muc:
    host: rooms.localhost
    max_users: 20000
    min_message_interval: 0
    min_presence_interval: 0
    history_size: 0
    default_room_options: { mam: true, max_users: 20000, presence_broadcast: [], members_only: false }
  mod_ping: { send_pings: false }
  mod_roster: {}
  mod_stream_mgmt: { max_ack_queue: infinity }
END
  # As ejabberdctl does it, but by nobody else's account, and as a node of its own that no other sees.
  HOME=$dir ERL_LIBS=/usr/lib/x86_64-linux-gnu EJABBERD_CONFIG_PATH=$dir/ejabberd.yml EJABBERD_LOG_PATH=$dir/ejabberd.log \
    ERL_CRASH_DUMP=$dir/crash ERL_MAX_PORTS=32000 \
    erl -noinput +K true +P 250000 +Q 65536 -mnesia dir "\"$dir/spool\"" -s ejabberd < /dev/null > "$dir/out.log" 2>&1 &
  pid=$!
  servers+=("$pid")
  await ejabberd "$pid" "$plain" "$tls" "$http"
  register_at "$http" > "$dir/requests"
  local made
  made=$(curl --silent --config "$dir/requests" | grep -o 'successfully registered' | wc -l)
  [ "$made" -eq "$accounts" ] || { echo "ejabberd made only $made of $accounts accounts" >&2; exit 1; }
  options+=(--peer "ejabberd=127.0.0.1:$plain,127.0.0.1:$tls")
}

# One connection for all, which asking a command per account would not be.
register_at() {
  local number
  for ((number = 0; number < accounts; number++)); do
    [ "$number" -eq 0 ] || echo next
    printf 'silent\nurl = "http://127.0.0.1:%s/api/register"\n' "$1"
    printf 'data = "{\\"user\\": \\"bench%05d\\", \\"host\\": \\"localhost\\", \\"password\\": \\"%s\\"}"\n' "$number" "$password"
  done
}

[ "$which" = ejabberd ] || start_prosody
[ "$which" = prosody ] || start_ejabberd
echo "${options[@]}"
if [ $# -gt 0 ]; then
  "$@" "${options[@]}"
  exit $?
fi
while read -r _; do :; done
