#!/bin/sh
# Stands in front of the command line of AWS, and plays what the emulator only keeps in mind: a task of ECS is run here and now.
# Told by the environment: AWS, FINCORE, PLAYED (a folder), and the settings of the program.
set -eu
printf '%s %s\n' "$1" "$2" >>"$PLAYED/calls"
run='import json, os, sys
words = json.loads(sys.argv[2])["containerOverrides"][0]["command"]
os.execv(sys.argv[1], [sys.argv[1], *words])'
case "$1 $2" in
    'ecs run-task')
        # The stack as it is at this moment.
        "$AWS" cloudformation describe-stacks --output json >"$PLAYED/stacks.json"
        while [ "$1" != --overrides ]; do shift; done
        code=0
        python3 -c "$run" "$FINCORE" "$2" >"$PLAYED/log" 2>&1 || code=$?
        printf '%s' "$code" >"$PLAYED/code"
        printf 'arn:aws:ecs:us-east-1:000000000000:task/fincore/played\n'
        ;;
    'ecs wait') ;;
    'logs get-log-events') cat "$PLAYED/log" ;;
    'ecs describe-tasks') cat "$PLAYED/code" ;;
    *) exec "$AWS" "$@" ;;
esac
