# Manifest of the NIH chest radiograph subset, multi-label: the findings with at least a few dozen
# positives in this subset.
#   sh examples/chest-findings/manifest.sh FOLDER_OF_SHARED_DATA
set -e
data=$1
here=$(dirname "$0")

medtransfer import csv "$data" -o "$here/manifest.parquet" --option table=cxr_nih64.parquet \
  --columns cohort:=nih,sex=sex,age=age \
  --option targets=Atelectasis,Effusion,Infiltration,Mass,Nodule,Pneumothorax \
  --option others=drop --option splits=none --option like=nih-chestxray14 --harmonise
