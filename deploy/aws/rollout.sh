#!/bin/sh
# Rolls a release out, the first one or another: rollout.sh STACK RELEASE IMAGE PARAMETERS
# PARAMETERS is a file like ["ArtifactBucket=…", "CertificateArn=…", …]; Release and the images are said here.
set -eu
stack=$1 release=$2 image=$3 parameters=$4
here=$(dirname "$0")
describe() {
    aws cloudformation describe-stacks --stack-name "$stack" --output text --query "$1"
}
current() {
    describe "Stacks[0].Parameters[?ParameterKey=='$1'].ParameterValue"
}
# Whatever else is wrong must not look like a first rollout: that one begins with nothing running.
exists() {
    said=$(describe 'Stacks[0].StackName' 2>&1) && return 0
    case $said in *'does not exist'*) return 1 ;; esac
    printf '%s\n' "$said" >&2
    exit 1
}
# deploy TEMPLATE NAME=VALUE…
deploy() {
    template=$1
    shift
    # Each word of the file is a parameter of its own, and those after it win.
    all=$(python3 -c 'import json, sys; print(json.dumps(json.load(open(sys.argv[1])) + sys.argv[2:]))' "$parameters" "$@")
    file=$(mktemp)
    printf '%s' "$all" >"$file"
    aws cloudformation deploy --stack-name "$stack" --template-file "$template" \
        --capabilities CAPABILITY_IAM --no-fail-on-empty-changeset --parameter-overrides "file://$file"
    rm -f "$file"
}
if ! exists; then
    deploy "$here/fincore.yaml" "Release=$release" "Image=$image" "AdminImage=$image" Running=no
else
    # As it is, but for the image of the task: the new templates come with the new release.
    old=$(current Release)
    before=$(mktemp)
    aws cloudformation get-template --stack-name "$stack" --query TemplateBody --output text >"$before"
    deploy "$before" "Release=$old" "Image=$(current Image)" "AdminImage=$image" "Running=$(current Running)"
    rm -f "$before"
fi
"$here/task.sh" "$stack" migrate
deploy "$here/fincore.yaml" "Release=$release" "Image=$image" "AdminImage=$image" Running=yes
