"""A Celery application of which every kind of end can be seen, and who sends its tasks.

    python -m celery -A app worker -E -n w1@a    works
    python app.py send OUT                       sends one of each kind; their ids go to OUT, a line each
    python app.py truth OUT                      prints what the result backend has of them, a line each

BROKER and BACKEND say where. The result backend is a folder, so that nothing else is needed.
"""

import json
import os
import sys
import time

from celery import Celery, chain
from celery.exceptions import Ignore, Reject

app = Celery("app", broker=os.environ["BROKER"], backend="file://" + os.environ["BACKEND"])
app.conf.update(
    task_send_sent_event=True,
    task_track_started=True,
    result_extended=True,
    worker_prefetch_multiplier=1,
    worker_max_tasks_per_child=None,
    broker_connection_retry_on_startup=True,
    task_default_queue="tasks",
)


@app.task
def add(a, b):
    return a + b


@app.task
def boom(secret):
    raise ValueError("bad input")


@app.task(bind=True, max_retries=5)
def flaky(self, times):
    if self.request.retries < times:
        raise self.retry(countdown=0.2, exc=ConnectionError("try again"))
    return self.request.retries


@app.task(autoretry_for=(OSError,), retry_kwargs={"max_retries": 2, "countdown": 0.2})
def auto():
    raise OSError("always")


@app.task
def sleep(seconds):
    time.sleep(seconds)


@app.task(time_limit=1)
def limited():
    time.sleep(60)


@app.task
def ignored():
    raise Ignore()


@app.task(acks_late=True)
def rejected():
    raise Reject("nope", requeue=False)


def send(out):
    ids = open(out, "a")

    def sent(intent, result):
        ids.write(json.dumps({"id": result.id, "intent": intent}) + "\n")
        ids.flush()
        return result

    for n in range(20):
        sent("success", add.delay(n, 1))
    for _ in range(3):
        sent("failure", boom.delay("sesame"))
        sent("retry", flaky.delay(2))
        sent("autoretry", auto.delay())
        sent("ignored", ignored.delay())
        sent("rejected", rejected.delay())
        last = sent("chain", chain(add.s(1, 2), add.s(3), add.s(4)).apply_async())
        while last.parent is not None:
            last = sent("chain", last.parent)
    sent("limited", limited.delay())
    # To a queue that nobody reads, so that nobody but the broker can drop them.
    for _ in range(3):
        sent("expired", add.apply_async((1, 1), expires=0.5, queue="nobody"))
    sent("revoked", add.apply_async((1, 1), countdown=3)).revoke()
    running = sent("terminated", sleep.delay(60))
    deadline = time.time() + 30
    while running.state != "STARTED" and time.time() < deadline:
        time.sleep(0.05)
    running.revoke(terminate=True)


def truth(out):
    for line in open(out):
        task = json.loads(line)
        meta = app.AsyncResult(task["id"])._get_task_meta()
        task["state"] = meta["status"]
        task["retries"] = meta.get("retries")
        task["worker"] = meta.get("worker")
        print(json.dumps(task))


def lose(out):
    with open(out, "a") as ids:
        ids.write(json.dumps({"id": sleep.apply_async((60,), queue="w2").id, "intent": "lost"}) + "\n")


if __name__ == "__main__":
    {"send": send, "truth": truth, "lose": lose}[sys.argv[1]](sys.argv[2])
