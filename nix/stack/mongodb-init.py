"""Makes the mongod on port argv[1] a replica set of one, and waits until it takes writes.

The set remembers the address of its member, so another port makes it another set.
"""

import sys
import time

import pymongo
from pymongo.errors import OperationFailure, PyMongoError

PATIENCE = 60  # seconds; an election of one takes less than one
NOT_YET_INITIALIZED = 94

port = int(sys.argv[1])
member = {"_id": 0, "host": f"127.0.0.1:{port}"}
client = pymongo.MongoClient(
    "127.0.0.1", port, directConnection=True, serverSelectionTimeoutMS=5000
)
admin = client.admin


def set_up() -> None:
    """Gives the set its one member, whether there is a set already or not."""
    try:
        config = admin.command("replSetGetConfig")["config"]
    except OperationFailure as error:
        if error.code != NOT_YET_INITIALIZED:
            raise
        admin.command("replSetInitiate", {"_id": "rs0", "members": [member]})
        return
    if [there["host"] for there in config["members"]] != [member["host"]]:
        config["version"] += 1
        config["members"] = [member]
        # Nobody of the old addresses answers, so there is no primary to agree.
        admin.command("replSetReconfig", config, force=True)


deadline = time.monotonic() + PATIENCE
while True:
    try:
        set_up()
        if admin.command("hello")["isWritablePrimary"]:
            break
        reason = "it has not become the primary"
    except PyMongoError as error:
        reason = str(error)
    if time.monotonic() > deadline:
        sys.exit(
            f"error: the mongod on port {port} takes no writes: {reason}\n"
            "  fix: see logs/mongodb.log"
        )
    time.sleep(0.2)
