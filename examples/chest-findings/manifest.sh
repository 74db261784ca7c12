# Findings on chest radiographs of the NIH set, several at once: those with a few dozen positives or
# more in this subset.
#   sh examples/chest-findings/manifest.sh FOLDER_OF_SHARED_DATA
set -e
data=$1
here=$(dirname "$0")

medtransfer import csv "$data" -o "$here/manifest.parquet" --option table=cxr_nih64.parquet \
  --columns cohort:=nih,sex=sex,age=age \
  --option targets=Atelectasis,Effusion,Infiltration,Mass,Nodule,Pneumothorax \
  --option others=drop --option splits=none --option like=nih-chestxray14 --harmonise
