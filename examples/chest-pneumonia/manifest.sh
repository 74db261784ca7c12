# Manifest for pneumonia on chest radiographs: children in Guangzhou and adults elsewhere. Films of
# different days are separate cases; films without a label stay unlabelled.
#   sh examples/chest-pneumonia/manifest.sh FOLDER_OF_SHARED_DATA
set -e
data=$1
here=$(dirname "$0")

medtransfer import csv "$data" -o "$here/children.parquet" --option table=cxr_kermany.parquet \
  --columns cohort:=guangzhou-children,pneumonia=label \
  --option targets=pneumonia --values pneumonia=pneumonia:1,normal:0 \
  --option others=drop --option splits=none

medtransfer import csv "$data" -o "$here/actualmed.parquet" --option table=cxr_actualmed.parquet \
  --columns cohort:=actualmed-adults,pneumonia=label \
  --option targets=pneumonia --values "pneumonia=COVID-19:1,No Finding:0" \
  --option others=drop --option splits=none

medtransfer import csv "$data" -o "$here/covid.parquet" --option table=cxr_covid.parquet \
  --columns cohort:=covid-adults,pneumonia=label \
  --option targets=pneumonia --values "pneumonia=COVID-19:1,Other pneumonia:1,No Finding:0" \
  --option others=drop --option splits=none

medtransfer join "$here/children.parquet" "$here/actualmed.parquet" "$here/covid.parquet" \
  -o "$here/manifest.parquet"
