#!/bin/sh
# Runs a command of fincore as a task inside of the network, and ends as it ended: task.sh STACK COMMAND…
set -eu
stack=$1
shift
output() {
    aws cloudformation describe-stacks --stack-name "$stack" --output text \
        --query "Stacks[0].Outputs[?OutputKey=='$1'].OutputValue"
}
# As JSON, so that words with spaces stay words.
command=$(python3 -c 'import json, sys; print(json.dumps(sys.argv[1:]))' "$@")
cluster=$(output Cluster)
log=$(output AdminLog)
task=$(aws ecs run-task --cluster "$cluster" --launch-type FARGATE --task-definition "$(output Admin)" \
    --network-configuration "awsvpcConfiguration={subnets=[$(output PrivateSubnets)],securityGroups=[$(output AdminGroup)]}" \
    --overrides "{\"containerOverrides\": [{\"name\": \"fincore\", \"command\": $command}]}" \
    --query 'tasks[0].taskArn' --output text)
aws ecs wait tasks-stopped --cluster "$cluster" --tasks "$task"
aws logs get-log-events --log-group-name "$log" --log-stream-name "admin/fincore/${task##*/}" --start-from-head \
    --query 'events[].message' --output text | tr '\t' '\n' || true
code=$(aws ecs describe-tasks --cluster "$cluster" --tasks "$task" --query 'tasks[0].containers[0].exitCode' --output text)
case $code in
    *[!0-9]* | '')
        aws ecs describe-tasks --cluster "$cluster" --tasks "$task" --query 'tasks[0].stoppedReason' --output text >&2
        exit 1
        ;;
esac
exit "$code"
