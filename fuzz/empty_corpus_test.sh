#!/bin/bash
# A fuzz test whose corpus is empty must fail and say so.
set -u
output=$("$1" 2>&1)
status=$?
if [[ $status -ne 1 || $output != *"the corpus is empty"* ]]; then
  echo "exit code $status, output: $output"
  exit 1
fi
