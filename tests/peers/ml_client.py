"""The Google API client for Python against `hptune serve`: ADDRESS JOB_DIR."""

import json
import sys
import time

from google.auth.credentials import AnonymousCredentials
from googleapiclient.discovery import build
from googleapiclient.errors import HttpError

address, script = sys.argv[1:3]
ml = build("ml", "v1", client_options={"api_endpoint": address}, credentials=AnonymousCredentials())
jobs = ml.projects().jobs()
parent = "projects/my-project"

assert jobs.list(parent=parent).execute() == {}

# The dictionary of Cloud ML Engine's documentation.
hyperparams = {
    "goal": "MAXIMIZE",
    "hyperparameterMetricTag": "acc",
    "maxTrials": 4,
    "maxParallelTrials": 2,
    "enableTrialEarlyStopping": False,
    "params": [],
}
hyperparams["params"].append(
    {"parameterName": "hidden1", "type": "INTEGER", "minValue": 40, "maxValue": 400, "scaleType": "UNIT_LINEAR_SCALE"}
)
hyperparams["params"].append({"parameterName": "numRnnCells", "type": "DISCRETE", "discreteValues": [1, 2, 3, 4]})
hyperparams["params"].append(
    {"parameterName": "rnnCellType", "type": "CATEGORICAL", "categoricalValues": ["BasicLSTMCell", "GRUCell"]}
)
training_inputs = {
    "scaleTier": "CUSTOM",
    "masterType": "complex_model_m",
    "masterConfig": {"imageUri": "gcr.io/p/trainer", "containerCommand": ["sh", script]},
    "region": "us-central1",
    "hyperparameters": hyperparams,
}
job = {"jobId": "my_job_name", "trainingInput": training_inputs, "labels": {"owner": "me"}}
created = jobs.create(parent=parent, body=job).execute()
assert created["state"] == "QUEUED", created

name = f"{parent}/jobs/my_job_name"
while True:
    got = jobs.get(name=name).execute()
    if got["state"] in ("SUCCEEDED", "FAILED", "CANCELLED"):
        break
    time.sleep(0.1)
assert got["state"] == "SUCCEEDED", got
output = got["trainingOutput"]
assert output["isHyperparameterTuningJob"] is True and output["completedTrialCount"] == "4", output
best = output["trials"][0]
assert best["finalMetric"] == {"trainingStep": "2", "objectiveValue": 0.5}, best
assert set(best["hyperparameters"]) == {"hidden1", "numRnnCells", "rnnCellType"}, best

# Pages.
for n in range(3):
    jobs.create(parent=parent, body={**job, "jobId": f"other_{n}"}).execute()
seen, request = [], jobs.list(parent=parent, pageSize=3, filter="jobId:* AND labels.owner=me")
while request is not None:
    page = request.execute()
    seen += [job["jobId"] for job in page.get("jobs", [])]
    request = jobs.list_next(request, page)
assert seen == ["other_2", "other_1", "other_0", "my_job_name"], seen

# Labels.
patched = jobs.patch(name=name, updateMask="labels,etag", body={"labels": {"a": "b"}, "etag": got["etag"]}).execute()
assert patched["labels"] == {"a": "b"}, patched


def refused(request, code, status):
    try:
        request.execute()
    except HttpError as error:
        assert error.status_code == code, error
        assert json.loads(error.content)["error"]["status"] == status, error.content
        return error
    raise AssertionError("it was not refused")


stale = jobs.patch(name=name, updateMask="labels,etag", body={"labels": {}, "etag": got["etag"]})
refused(stale, 409, "ABORTED")
refused(jobs.get(name=f"{parent}/jobs/none"), 404, "NOT_FOUND")
refused(jobs.create(parent=parent, body=job), 409, "ALREADY_EXISTS")
refused(jobs.cancel(name=name), 400, "FAILED_PRECONDITION")
refused(jobs.list(parent=parent, filter="nonsense"), 400, "INVALID_ARGUMENT")
hyperparams["maxTrials"] = -1
hyperparams["params"][0]["maxValue"] = 3
error = refused(jobs.create(parent=parent, body={**job, "jobId": "bad"}), 400, "INVALID_ARGUMENT")
fields = [violation["field"] for violation in error.error_details[0]["fieldViolations"]]
assert "trainingInput.hyperparameters.maxTrials" in fields and len(fields) == 2, fields

# Cancelled, without a body.
hyperparams["maxTrials"] = 4
hyperparams["params"][0]["maxValue"] = 400
training_inputs["masterConfig"]["containerCommand"] = ["sh", "-c", "sleep 1000", "trainer"]
training_inputs["masterConfig"]["containerArgs"] = []
jobs.create(parent=parent, body={**job, "jobId": "long"}).execute()
assert jobs.cancel(name=f"{parent}/jobs/long").execute() == {}
while jobs.get(name=f"{parent}/jobs/long").execute()["state"] != "CANCELLED":
    time.sleep(0.1)
