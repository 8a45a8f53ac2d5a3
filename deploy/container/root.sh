#!/bin/sh
# Puts a program into an empty folder with all that it needs to run there: root.sh PROGRAM FOLDER
set -eu
program=$1
folder=$2
mkdir -p "$folder/usr/bin" "$folder/etc/ssl/certs"
install -m 755 "$program" "$folder/usr/bin/fincore"
# Each library under the path by which the loader looks for it, the loader among them.
ldd "$program" | grep -o '/[^ ]*' | while read -r library; do
    mkdir -p "$folder$(dirname "$library")"
    cp -L "$library" "$folder$library"
done
cp -L /etc/ssl/certs/ca-certificates.crt "$folder/etc/ssl/certs/"
