# Manifest of skin lesions from two hospitals under one vocabulary: HAM10000 and PAD-UFES-20. A lesion
# with all its photographs is one case. HAM10000 calls actinic keratosis and squamous carcinoma akiec.
#   sh examples/dermatology/manifest.sh FOLDER_OF_SHARED_DATA
# For the official downloads: medtransfer import ham10000 FOLDER --harmonise, likewise pad-ufes-20.
set -e
data=$1
here=$(dirname "$0")

# age 0 means unknown
medtransfer import csv "$data" -o "$here/ham10000.parquet" --option table=derm_ham10000.parquet \
  --columns cohort:=ham10000,case_id=lesion_id,diagnosis=label,sex=sex,age=age \
  --option empty=age=0 --option others=drop --option splits=none \
  --option like=ham10000 --harmonise

# lesion numbers restart with each patient, so two columns identify the case
medtransfer import csv "$data" -o "$here/pad-ufes.parquet" --option table=derm_pad_ufes.parquet \
  --columns cohort:=pad-ufes,case_id=patient_id+lesion_id,diagnosis=label,sex=sex,age=age \
  --columns fitzpatrick=fitzpatrick --option others=drop --option splits=none \
  --option like=pad-ufes-20 --harmonise

medtransfer join "$here/ham10000.parquet" "$here/pad-ufes.parquet" -o "$here/manifest.parquet"
