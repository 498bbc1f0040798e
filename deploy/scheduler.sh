#!/usr/bin/env bash
# Cloud Scheduler starts the Flex Template every night. The gate is a second job, later than the audit can take:
# a Cloud Run job of the same image that ends with the gate's exit status, on which an alert is set.
set -euo pipefail
: "${PROJECT:?}" "${REGION:?}" "${BUCKET:?}" "${IMAGE:?}" "${ACCOUNT:?}"

gcloud scheduler jobs create http gradcam-audit-run --project="$PROJECT" --location="$REGION" \
  --schedule="0 3 * * *" --http-method=POST --oauth-service-account-email="$ACCOUNT" \
  --uri="https://dataflow.googleapis.com/v1b3/projects/$PROJECT/locations/$REGION/flexTemplates:launch" \
  --message-body='{"launchParameter": {"jobName": "gradcam-audit", "containerSpecGcsPath": "'"$BUCKET"'/templates/gradcam-audit.json", "parameters": {"output": "'"$BUCKET"'/audits", "sdk_container_image": "'"$IMAGE"'"}}}'

gcloud run jobs create gradcam-audit-gate --project="$PROJECT" --region="$REGION" --image="$IMAGE" \
  --command=gradcam-audit --args=gate,"$BUCKET/audits" --max-retries=0 --service-account="$ACCOUNT"

gcloud scheduler jobs create http gradcam-audit-gate --project="$PROJECT" --location="$REGION" \
  --schedule="0 7 * * *" --http-method=POST --oauth-service-account-email="$ACCOUNT" \
  --uri="https://run.googleapis.com/v2/projects/$PROJECT/locations/$REGION/jobs/gradcam-audit-gate:run"
