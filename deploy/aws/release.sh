#!/bin/sh
# Puts a release where CloudFormation finds it: release.sh BUCKET RELEASE
set -eu
bucket=$1 release=$2
here=$(dirname "$0")
for file in "$here"/*.yaml "$here/../../statemachine.asl.json" "$here/../../target/package/fincore-lambda.zip"; do
    aws s3 cp --only-show-errors "$file" "s3://$bucket/$release/$(basename "$file")"
done
