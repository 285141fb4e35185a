"""What `check.sh image` does with JSON and HTTP.

container.py BUNDLE DATA ARGUMENT...   writes to the bundle's config.json: run this, without a right
container.py --ask PORT                what GET /livez says on that port; fails where nobody answers
container.py --who BUNDLE              as whom the bundle runs
"""

import json
import sys
import urllib.request


def strip(bundle: str, data: str, arguments: list[str]) -> None:
    path = f"{bundle}/config.json"
    with open(path) as file:
        config = json.load(file)
    process = config["process"]
    # The image's entry point is its program alone; what an earlier call wrote comes after it.
    process["args"] = process["args"][:1] + arguments
    process["terminal"] = False
    process["noNewPrivileges"] = True
    process["capabilities"] = {
        kind: []
        for kind in ("bounding", "effective", "inheritable", "permitted", "ambient")
    }
    config["root"]["readonly"] = True
    # The host's network, where /livez is asked.
    config["linux"]["namespaces"] = [
        space for space in config["linux"]["namespaces"] if space["type"] != "network"
    ]
    config["mounts"] = [
        mount for mount in config["mounts"] if mount["destination"] != "/data"
    ] + [
        {
            "destination": "/data",
            "type": "bind",
            "source": data,
            "options": ["bind", "rw", "nosuid", "nodev", "noexec"],
        }
    ]
    with open(path, "w") as file:
        json.dump(config, file)


match sys.argv[1:]:
    case ["--ask", port]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/livez", timeout=5) as answer:
                print(answer.status, answer.read().decode().strip())
        except OSError:
            sys.exit(1)
    case ["--who", bundle]:
        with open(f"{bundle}/config.json") as file:
            config = json.load(file)
        user = config["process"]["user"]
        rights = config["process"]["capabilities"]["effective"]
        read_only = config["root"]["readonly"]
        print(f"uid {user['uid']}, capabilities {rights}, read-only root {read_only}")
    case [bundle, data, *arguments]:
        strip(bundle, data, arguments)
