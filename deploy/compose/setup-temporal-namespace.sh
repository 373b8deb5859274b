#!/bin/sh
# Makes the namespace and registers our search attributes, both as far as they are missing.
# A search attribute that is not registered makes a workflow task retry for ever.
set -eu

temporal operator namespace describe -n "$NAMESPACE" >/dev/null 2>&1 ||
  temporal operator namespace create -n "$NAMESPACE" --retention 30d

for attribute in \
  MunimentTenant=Keyword MunimentFile=Keyword MunimentMediaType=Keyword \
  MunimentStage=Keyword MunimentOutcome=Keyword MunimentPageCount=Int; do
  name=${attribute%=*}
  temporal operator search-attribute list -n "$NAMESPACE" | grep -q "$name" ||
    temporal operator search-attribute create -n "$NAMESPACE" --name "$name" --type "${attribute#*=}"
done
