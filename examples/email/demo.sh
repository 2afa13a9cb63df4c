#!/bin/sh
# make demo: Trivet, the email service, a worker and an SMTP sink on free ports and in a folder that is removed at the
# end. Posts a few emails, kills Trivet once, shows what each step left behind, and exits 0 when every check held.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
build=${BUILD:-$root/build}
folder=$(mktemp -d)
pids=
trivet=
redis=0 kafka=0 zookeeper=0
failures=0

cleanup() {
    trap '' HUP INT PIPE TERM
    for pid in $pids $trivet; do # Trivet last: it outlives its clients
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    if [ "$failures" -eq 0 ]; then rm -rf "$folder"; else echo "logs are kept in $folder" >&2; fi
}
trap cleanup EXIT
trap 'failures=1; exit 1' HUP INT PIPE TERM # PIPE: make demo | head

title() { printf '\n== %s\n' "$*"; }
# Prints the words of a command, quoted where a shell wants that.
shown() {
    printf '$'
    for word in "$@"; do
        case $word in *[!A-Za-z0-9_./:=@,+-]*) printf " '%s'" "$word" ;; *) printf ' %s' "$word" ;; esac
    done
    printf '\n'
}
# Shows a command and runs it.
run() { shown "$@"; "$@" || true; }
need() { command -v "$1" >/dev/null || { echo "demo: $1 is missing; tools/install examples brings it" >&2; failures=1; exit 1; }; }

# check WORDS FOUND EXPECTED
check() {
    if [ "$2" = "$3" ]; then printf 'ok: %s\n' "$1"
    else printf 'NOT OK: %s: expected %s, found %s\n' "$1" "$3" "$2"; failures=$((failures + 1)); fi
}

# wait_for SECONDS COMMAND...: until it succeeds.
wait_for() {
    tries=$(($1 * 10))
    shift
    while ! "$@" >/dev/null 2>&1; do
        tries=$((tries - 1))
        if [ $tries -le 0 ]; then return 1; fi
        sleep 0.1
    done
}

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
ready() { python3 -c "import json; print(json.loads(open('$folder/ready.json').readlines()[-1])['$1'])"; }
field() { python3 -c "import json, sys; print(json.load(open(sys.argv[1])).get(sys.argv[2]))" "$folder/answer" "$1"; }
mails() { if [ -f "$folder/mails.jsonl" ]; then wc -l <"$folder/mails.jsonl"; else echo 0; fi; }
records() { kcat -C -q -e -b "127.0.0.1:$kafka" -t "$1" 2>/dev/null | wc -l; }
mails_are() { [ "$(mails)" -eq "$1" ]; }
status_is() { curl -s "$base/emails/$1" | grep -q "\"status\": *\"$2\""; }
healthy() { curl -sf "$base/healthz"; }

start() {
    name=$1
    shift
    "$@" >>"$folder/$name.log" 2>&1 &
    pids="$! $pids"
}

# On free ports the first time, later where it was.
start_trivet() {
    : >"$folder/ready.json"
    "$build/trivet" --data "$folder/data" --bind 127.0.0.1 --ready-json --redis.port "$redis" --kafka.port "$kafka" \
        --zookeeper.port "$zookeeper" --http.port 0 --redis.appendfsync always >"$folder/ready.json" 2>>"$folder/trivet.log" &
    trivet=$!
    wait_for 20 grep -q '"pid"' "$folder/ready.json" || { cat "$folder/trivet.log" >&2; failures=1; exit 1; }
    redis=$(ready redis) kafka=$(ready kafka) zookeeper=$(ready zookeeper)
}

start_all() {
    start_trivet
    http=$(free_port) smtp=$(free_port)
    base=http://127.0.0.1:$http
    export REDIS_HOST=127.0.0.1 REDIS_PORT="$redis" KAFKA_BROKERS="127.0.0.1:$kafka" KAFKA_TOPIC_EVENTS=emails \
        ZOOKEEPER_HOST=127.0.0.1 ZOOKEEPER_PORT="$zookeeper" SMTP_URL="smtp://127.0.0.1:$smtp" \
        HTTP_PORT="$http" EMAIL_MODE=atomic EMAIL_RATE_MAX=3
    start sink "$build/examples/email/email-sink" "$smtp" "$folder/mails.jsonl"
    start service "$build/examples/email/email-service"
    start worker "$build/examples/email/email-worker"
    wait_for 20 healthy || { cat "$folder/service.log" >&2; failures=1; exit 1; }
}

# post EXPECTED-STATUS JSON
post() {
    shown curl -d "$2" "$base/emails"
    code=$(curl -s -o "$folder/answer" -w '%{http_code}' -d "$2" "$base/emails")
    printf '%s %s\n' "$code" "$(cat "$folder/answer")"
    check "answered $1" "$code" "$1"
}

letter() { printf '{"to": "%s", "subject": "%s", "body": "Hello"}' "$1" "$2"; }

need curl
need redis-cli
need kcat
start_all
cat <<EOF
Started, each on a free port, for as long as this takes:
  Trivet    Redis on port $redis, Kafka on $kafka, ZooKeeper on $zookeeper
  service   $base: POST /emails takes an email, and drops what it had within 60 s
  worker    reads the topic emails and sends over SMTP
  sink      an SMTP server that writes each mail as a line into mails.jsonl
EOF

title "An email, and twice the same again"
post 202 "$(letter ada@example.com Welcome)"
first=$(field id)
post 200 "$(letter ada@example.com Welcome)"
check "the duplicate has the first id" "$(field id)" "$first"
post 200 "$(letter ada@example.com Welcome)"
check "the duplicate has the first id" "$(field id)" "$first"
wait_for 30 status_is "$first" sent || true
run curl -s "$base/emails/$first"
echo
check "one mail arrived" "$(mails)" 1
run redis-cli -p "$redis" HGETALL "email:$first"
run redis-cli -p "$redis" --scan --pattern 'email:once:*'
run kcat -C -q -e -b "127.0.0.1:$kafka" -t emails -f 'offset %o key %k headers %h value %s\n'
check "one record is in the topic" "$(records emails)" 1

title "kill -9 for Trivet: the guard and the record are there together, or neither is"
shown kill -9 "$trivet"
kill -9 "$trivet"
wait "$trivet" 2>/dev/null || true
start_trivet
echo "Trivet is back, ready in $(ready ready_ms) ms"
wait_for 20 healthy || true
post 200 "$(letter ada@example.com Welcome)"
check "the duplicate has the first id" "$(field id)" "$first"
check "one record is in the topic" "$(records emails)" 1
check "one mail arrived" "$(mails)" 1

title "What is refused"
post 400 "$(letter nobody Welcome)"
check "the field is named" "$(field field)" to
post 202 "$(letter ada@example.com Second)"
post 202 "$(letter ada@example.com Third)"
post 429 "$(letter ada@example.com Fourth)"
wait_for 30 mails_are 3 || true
check "three mails arrived" "$(mails)" 3

title "A mailbox that is busy the first time: the housekeeper brings the email back"
post 202 "$(letter later@example.com Patience)"
id=$(field id)
wait_for 30 status_is "$id" sent || true
run curl -s "$base/emails/$id"
echo
check "it arrived" "$(mails)" 4
zkcli=$(command -v zkCli.sh || command -v /usr/share/zookeeper/bin/zkCli.sh || true)
shown "${zkcli:-zkCli.sh}" -server "127.0.0.1:$zookeeper" ls /email-housekeeper
if [ -n "$zkcli" ]; then "$zkcli" -server "127.0.0.1:$zookeeper" ls /email-housekeeper 2>/dev/null | tail -n 1 || true
else echo "(not shown: zkCli.sh comes with Debian's package zookeeper)"; fi
grep housekeeper "$folder/worker.log" || true

title "A mailbox that does not exist, and a record that is no email: both are parked"
post 202 "$(letter refuse@example.com Lost)"
id=$(field id)
wait_for 30 status_is "$id" failed || true
run curl -s "$base/emails/$id"
echo
echo "\$ echo 'not an email' | kcat -P -b 127.0.0.1:$kafka -t emails"
echo 'not an email' | kcat -P -b "127.0.0.1:$kafka" -t emails
parked() { [ "$(records emails.dead)" -eq "$1" ]; }
wait_for 30 parked 2 || true
run kcat -C -q -e -b "127.0.0.1:$kafka" -t emails.dead -f '%k: %h\n  %s\n'
check "two records are parked" "$(records emails.dead)" 2

title "The sum"
run redis-cli -p "$redis" LLEN email:ledger
check "the ledger and the sink agree" "$(redis-cli -p "$redis" LLEN email:ledger)" "$(mails)"
run redis-cli -p "$redis" KAFKA.OUTBOX INFO
run cat "$folder/mails.jsonl"
echo
if [ "$failures" -gt 0 ]; then
    echo "demo: $failures checks failed"
    exit 1
fi
echo "demo: all checks held; examples/email/README.md tells how to start it all by hand"
