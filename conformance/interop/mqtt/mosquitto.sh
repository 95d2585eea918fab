#!/usr/bin/env bash
# Hallway's MQTT edge as mosquitto_pub, mosquitto_sub and mosquitto_rr 2.x see it, in 3.1.1 and 5.
#
#     mosquitto.sh HTTP MQTT MQTTS CA PREFIX
#
# HTTP, MQTT and MQTTS are HOST:PORT, CA is the server's certificate, PREFIX begins every user name and topic, so that runs on one server
# do not disturb each other. PYTHON names a Python that has websockets, for the check together with a WebSocket client.
#
# One line per check, "ok WHAT" or "FAIL WHAT: WHY"; the exit status is 0 when none failed.
set -uo pipefail

if [ $# -lt 5 ]; then sed -n '2,9p' "$0"; exit 2; fi
http=$1 mqtt=$2 mqtts=$3 ca=$4 prefix=$5
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3}
password='correct horse battery'
lobby=conf/demo/chat/lobby
help=conf/demo/chat/help
work=$(mktemp -d)
failed=0
# Clients that run in the background; only these are ended.
clients=()

end_clients() {
  local pid
  for pid in ${clients[@]+"${clients[@]}"}; do kill "$pid" 2> /dev/null; wait "$pid" 2> /dev/null; done
  clients=()
}
trap 'end_clients; rm -rf "$work"' EXIT

# Where and who, for every client: connection USER.
connection() { printf '%s\n' -h "${mqtt%:*}" -p "${mqtt##*:}" -u "$prefix-$1" -P "$password" -V "$version"; }
over_tls() { printf '%s\n' -h "$1" -p "${mqtts##*:}" -u "$prefix-$2" -P "$password" -V "$version" --cafile "$ca"; }
read_into() { mapfile -t "$1" < <("${@:2}"); }

publish() { # USER, then options of mosquitto_pub
  local user=$1 to; shift
  read_into to connection "$user"
  timeout 15 mosquitto_pub "${to[@]}" "$@" 2> "$work/pub" || { why="mosquitto_pub $*: $(cat "$work/pub")"; return 1; }
}

# Subscribes in the background and waits until that is acknowledged: subscribe FILE USER, then options. Its pid is in $subscriber.
subscribe() {
  local file=$1 user=$2 to; shift 2
  read_into to connection "$user"
  start "$file" mosquitto_sub "${to[@]}" "$@"
}
start() {
  local file=$1; shift
  # Line by line also into a file; -d says what arrives with which flags.
  stdbuf -oL "$@" -d > "$file" 2>&1 &
  subscriber=$!
  clients+=("$subscriber")
  comes "$file" '^Subscribed' || { why="not subscribed: $(tail -3 "$file")"; return 1; }
}

# Waits until a line matches: comes FILE PATTERN.
comes() {
  local n
  for n in $(seq 200); do
    grep -Eq -- "$2" "$1" 2> /dev/null && return
    sleep 0.05
  done
  why="'$2' did not come within 10 s; came: $(tail -5 "$1")"
  return 1
}
comes_not() { # FILE PATTERN SECONDS
  sleep "$3"
  if grep -Eq -- "$2" "$1"; then why="'$2' came: $(grep -E -- "$2" "$1" | head -3)"; return 1; fi
}
says() { # WANTED GOT
  [ "$1" = "$2" ] || { why="instead of '$(head -2 <<< "$1" | paste -sd ' ')' came '$(head -2 <<< "$2" | paste -sd ' ')', $(grep -c . <<< "$2") lines in all"; return 1; }
}

check() { # WHAT FUNCTION
  why='it says no more'
  if "$2"; then echo "ok mosquitto v$version: $1"; else echo "FAIL mosquitto v$version: $1: $why"; failed=1; fi
  end_clients
}

chat() {
  local qos text
  for qos in 0 1 2; do
    text="words $qos $RANDOM$RANDOM"
    subscribe "$work/bert$qos" bert -q "$qos" -t "$lobby" -F '%t %q %r %p' || return
    publish anna -q "$qos" -t "$lobby" -m "$text" || return
    comes "$work/bert$qos" "^$lobby $qos 0 .*\"from\":\"$prefix-anna\".*\"text\":\"$text\"" || return
    publish bert -q "$qos" -t "$lobby" -m "{\"id\":\"$text\",\"text\":\"$text back\"}" || return
    comes "$work/bert$qos" "\"client_id\":\"$text\".*\"text\":\"$text back\"" || return
    end_clients
  done
}

# 100 lines over one connection at QoS 2 arrive once and in order.
many() {
  local topic=conf/demo/topic/$prefix/many to
  subscribe "$work/many" bert -q 2 -t "$topic" -F 'line %q %p' || return
  read_into to connection anna
  seq 100 | timeout 30 mosquitto_pub "${to[@]}" -q 2 -t "$topic" -l || { why="mosquitto_pub -l ended with $?"; return 1; }
  comes "$work/many" '^line 2 100$' || return
  says "$(seq -f 'line 2 %g' 100)" "$(grep '^line' "$work/many")"
}

will() {
  local topic=conf/demo/topic/wills/$prefix more=()
  subscribe "$work/wills" bert -q 1 -t "$topic" || return
  subscribe "$work/lost" anna -t "$help" --will-topic "$topic" --will-payload lost --will-qos 1 || return
  kill -9 "$subscriber"; wait "$subscriber" 2> /dev/null
  comes "$work/wills" '^lost$' || return
  # -E: DISCONNECT as soon as it is subscribed.
  subscribe "$work/left" anna -E -t "$help" --will-topic "$topic" --will-payload left --will-qos 1 || return
  wait "$subscriber" 2> /dev/null
  comes_not "$work/wills" '^left$' 0.7 || return
  [ "$version" = 5 ] || return 0
  # After SIGTERM mosquitto_sub 2.x leaves with reason 0x04: the will is wanted all the same.
  subscribe "$work/term" anna -t "$help" --will-topic "$topic" --will-payload wanted --will-qos 1 || return
  kill "$subscriber"; wait "$subscriber" 2> /dev/null
  comes "$work/wills" '^wanted$' || return
  more=(-x 60 -c -i "$prefix-late" -D will will-delay-interval 1)
  subscribe "$work/late" anna "${more[@]}" -t "$help" --will-topic "$topic" --will-payload late --will-qos 1 || return
  kill -9 "$subscriber"; wait "$subscriber" 2> /dev/null
  comes_not "$work/wills" '^late$' 0.6 || return
  comes "$work/wills" '^late$'
}

# What a subscription gives within a second: kept USER, then options.
kept() {
  local user=$1 to; shift
  read_into to connection "$user"
  timeout 15 mosquitto_sub "${to[@]}" "$@" -W 1 2> /dev/null
}

retained() {
  local topic=conf/demo/topic/$prefix/board text="last $RANDOM$RANDOM"
  publish anna -q 1 -r -t "$topic" -m notice || return
  says "$topic 1 1 notice" "$(kept bert -q 1 -t "$topic" -F '%t %q %r %p')" || return
  publish anna -q 1 -r -n -t "$topic" || return
  says '' "$(kept bert -q 1 -t "$topic")" || return
  publish anna -q 1 -t "$help" -m "$text" || return
  kept bert -q 1 -t "$help" -F '%r %p' > "$work/last"
  comes "$work/last" "^1 .*\"text\":\"$text\"" || return
  says 1 "$(wc -l < "$work/last")"
}

persistent() {
  local topic=conf/demo/topic/$prefix/away session to qos wanted
  for qos in 1 2; do
    session=(-c -i "$prefix-away-$version-$qos")
    if [ "$version" = 5 ]; then session+=(-x 3600); fi
    subscribe "$work/away" bert "${session[@]}" -q "$qos" -t "$topic/$qos" || return
    end_clients
    read_into to connection anna
    seq 20 | timeout 30 mosquitto_pub "${to[@]}" -q "$qos" -t "$topic/$qos" -l || { why="mosquitto_pub -l ended with $?"; return 1; }
    wanted=$(seq -f "$qos 0 %g" 20)
    says "$wanted" "$(kept bert "${session[@]}" -q "$qos" -t "$topic/$qos" -F '%q %r %p')" || return
    says '' "$(kept bert "${session[@]}" -q "$qos" -t "$topic/$qos" -F 'again %q %r %p')" || return
  done
}

tls() {
  local host to
  for host in 127.0.0.1 localhost; do
    read_into to over_tls "$host" bert
    start "$work/tls-$host" mosquitto_sub "${to[@]}" -q 1 -t "$lobby" || return
    read_into to over_tls "$host" anna
    timeout 15 mosquitto_pub "${to[@]}" -q 2 -t "$lobby" -m "over TLS to $host $$" 2> "$work/pub" || { why=$(cat "$work/pub"); return 1; }
    comes "$work/tls-$host" "\"text\":\"over TLS to $host $$\"" || return
  done
}

with_websocket() {
  local text="over MQTT $RANDOM$RANDOM" listener
  publish anna -q 1 -t "$help" -m hello || return
  "$python" "$here/websocket_user.py" "$http" "$prefix-anna" "$password" lobby expect "$text" > "$work/websocket" 2>&1 &
  listener=$!
  clients+=("$listener")
  comes "$work/websocket" '^ready' || return
  subscribe "$work/lobby" bert -q 1 -t "$lobby" || return
  publish bert -q 1 -t "$lobby" -m "$text" || return
  comes "$work/websocket" "\"text\": \"$text\"" || return
  "$python" "$here/websocket_user.py" "$http" "$prefix-anna" "$password" lobby send "back: $text" > "$work/answer" 2>&1 ||
    { why=$(tail -1 "$work/answer"); return 1; }
  comes "$work/lobby" "\"client_id\":\"back: $text\".*\"text\":\"back: $text\""
}

wrong_password() {
  publish anna -q 1 -t "$help" -m hello || return
  password='not the password' publish anna -q 1 -t "$help" -m hello && { why='it was let in'; return 1; }
  grep -Eiq 'not authori[sz]ed|bad user ?name or password' "$work/pub"
}

properties() {
  local topic=conf/demo/topic/$prefix/properties
  subscribe "$work/properties" bert -q 1 -t "$topic" -F '%C|%P|%p' || return
  publish anna -q 1 -t "$topic" -m '{"x":1}' -D publish content-type application/json -D publish user-property colour blue || return
  comes "$work/properties" '^application/json\|colour:blue ?\|\{"x":1\}'
}

json_rpc() {
  local to answer
  read_into to connection anna
  answer=$(timeout 15 mosquitto_rr "${to[@]}" -q 1 -t conf/demo/rpc -e "conf/demo/user/$prefix-anna/rpc" -W 10 \
    -m '{"jsonrpc":"2.0","id":7,"method":"conversation.list","params":{}}' 2>&1)
  case $answer in *'"id":7'*'"lobby"'*) ;; *) why="the answer is '$answer'"; return 1 ;; esac
}

for version in 311 5; do
  check 'chat at QoS 0, 1 and 2' chat
  check '100 lines at QoS 2 over one connection' many
  check 'wills' will
  check 'retained publications and last messages' retained
  check 'a persistent session gets all 20 of each QoS, once and in order' persistent
  check "TLS with the server's certificate" tls
  check 'together with a WebSocket client' with_websocket
  check 'a wrong password is refused' wrong_password
done
check 'properties of publications' properties
check 'JSON-RPC by mosquitto_rr' json_rpc
exit "$failed"
