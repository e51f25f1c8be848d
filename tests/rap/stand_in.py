"""A stand-in for the platform's API on this machine, for rehearsals with the real `dx` client.

It keeps files, folders and jobs as the platform does: an object never changes, a second upload
under the same name is a second object, and an object can be read after it is closed. Only `dx` is
real here; the answers are a model, written after the client's own requests.
"""

import hashlib
import itertools
import json
import threading
import time
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

PROJECT = "project-" + "P" * 24
APP = "app-" + "S" * 24
USER = "user-rehearsal"
_SIZES = {
    "minimumPartSize": 5 * 2**20,
    "maximumPartSize": 2**32,
    "emptyLastPartAllowed": True,
    "maximumNumParts": 10_000,
    "maximumFileSize": 2**42,
}
# What `dx run swiss-army-knife` asks of its inputs.
_INPUTS = [
    {"name": "in", "class": "array:file", "optional": True},
    {"name": "cmd", "class": "string"},
    {"name": "mount_inputs", "class": "boolean", "optional": True},
]


class Refusal(Exception):
    """An error of the API, with its HTTP status."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        self.status, self.kind = status, kind
        super().__init__(message)


@dataclass
class Fault:
    """Requests whose path matches are answered with an error, a number of times."""

    path: str
    status: int
    times: int


@dataclass
class Platform:
    """The objects of one project, and how the API answers."""

    folder: Path
    closing_seconds: float = 0.0  # time that an object needs until it can be read
    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    folders: set[str] = field(default_factory=lambda: {"/"})
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    numbers: Any = field(default_factory=lambda: itertools.count(1))
    lock: Any = field(default_factory=threading.RLock)
    port: int = 0

    def environment(self) -> dict[str, str]:
        """The environment variables with which `dx` uses this stand-in."""
        token = {"auth_token_type": "Bearer", "auth_token": "rehearsal"}
        return {
            "DX_APISERVER_HOST": "127.0.0.1",
            "DX_APISERVER_PORT": str(self.port),
            "DX_APISERVER_PROTOCOL": "http",
            "DX_SECURITY_CONTEXT": json.dumps(token),
            "DX_PROJECT_CONTEXT_ID": PROJECT,
        }

    def named(self, pattern: str) -> list[dict[str, Any]]:
        """Objects whose name matches, oldest first."""
        return [o for o in self.objects.values() if fnmatchcase(o["name"], pattern)]

    def path(self, object_id: str) -> Path:
        return self.folder / object_id

    def identifier(self, kind: str) -> str:
        return f"{kind}-{next(self.numbers):024d}"

    # Data objects

    def describe(self, found: dict[str, Any]) -> dict[str, Any]:
        if found["state"] == "closing" and time.time() >= found["closes"]:
            found["state"] = "closed"
        return {key: value for key, value in found.items() if key != "closes"}

    def get(self, object_id: str) -> dict[str, Any]:
        if object_id not in self.objects:
            raise Refusal(404, "ResourceNotFound", f"{object_id} is not a recognized ID")
        return self.objects[object_id]

    def find(self, query: dict[str, Any]) -> list[dict[str, Any]]:
        scope, name = query.get("scope") or {}, query.get("name")
        folder, state = _folder(scope.get("folder", "/")), query.get("state", "any")
        found = []
        for one in self.objects.values():
            inside = folder == "/" or f"{one['folder']}/".startswith(f"{folder}/")
            if not (inside if scope.get("recurse", True) else one["folder"] == folder):
                continue
            if isinstance(name, dict) and not fnmatchcase(one["name"], name.get("glob", "*")):
                continue
            if isinstance(name, str) and one["name"] != name:
                continue
            if state != "any" and self.describe(one)["state"] != state:
                continue
            found.append({"project": PROJECT, "id": one["id"], "describe": self.describe(one)})
        return found[::-1]

    def create(self, body: dict[str, Any]) -> dict[str, Any]:
        folder = _folder(body.get("folder", "/"))
        if folder not in self.folders:
            if not body.get("parents"):
                raise Refusal(404, "ResourceNotFound", "The specified folder could not be found")
            self.add_folder(folder)
        one = self.identifier("file")
        self.objects[one] = {
            "id": one,
            "class": "file",
            "project": PROJECT,
            "folder": folder,
            "name": body.get("name") or one,
            "state": "open",
            "size": 0,
            "created": _now(),
            "modified": _now(),
            "archivalState": "live",
            "createdBy": {"user": USER},
            **{key: body.get(key) or {} for key in ("properties", "details")},
            **{key: body.get(key) or [] for key in ("tags", "types", "links")},
            **{"hidden": False, "sponsored": False, "media": "", "parts": {}},
            **{"drive": None, "md5": None, "checksumType": None},
        }
        return {"id": one}

    def add_folder(self, folder: str) -> None:
        parts = folder.strip("/").split("/")
        self.folders |= {"/" + "/".join(parts[: i + 1]) for i in range(len(parts))}

    def close(self, one: dict[str, Any]) -> dict[str, Any]:
        if one["state"] == "open":
            parts = sorted(self.folder.glob(f"{one['id']}.part.*"), key=_part)
            with self.path(one["id"]).open("wb") as whole:
                for part in parts:
                    whole.write(part.read_bytes())
                    part.unlink()
            content = self.path(one["id"]).read_bytes()
            digest = hashlib.md5(content).hexdigest()
            one["parts"] = {"1": {"size": len(content), "md5": digest, "state": "complete"}}
            one.update(state="closing", size=len(content), modified=_now())
            one["closes"] = time.time() + self.closing_seconds
        return {"id": one["id"]}

    def remove(self, object_ids: list[str]) -> dict[str, Any]:
        for one in object_ids:
            self.get(one)
            del self.objects[one]
            self.path(one).unlink(missing_ok=True)
        return {"id": PROJECT}

    # Requests

    def answer(self, path: str, body: dict[str, Any]) -> Any:
        """The answer to a request; Refusal if there is none."""
        with self.lock:
            self.requests.append(path)
            owner, _, method = path.strip("/").partition("/")
            if owner == "system":
                return self.system(method, body)
            if owner == "file":
                return self.create(body)
            if owner.startswith("file-"):
                return self.of_file(self.get(owner), method, body)
            if owner == PROJECT:
                return self.of_project(method, body)
            if owner.startswith("app-"):
                return self.of_app(method, body)
            if owner.startswith("job-") and owner in self.jobs:
                return self.jobs[owner]
            if owner.startswith("user-"):
                return {"id": owner, "class": "user", "handle": "rehearsal"}
            raise Refusal(404, "ResourceNotFound", f"the stand-in has no {path}")

    def system(self, method: str, body: dict[str, Any]) -> Any:
        if method == "findDataObjects":
            return {"results": self.find(body), "next": None}
        if method == "resolveDataObjects":
            return {"results": [self.resolve(query) for query in body["objects"]]}
        if method == "describeDataObjects":
            ids = [o if isinstance(o, str) else o["id"] for o in body["objects"]]
            return {"results": [{"describe": self.describe(self.get(one))} for one in ids]}
        if method == "findProjects":
            described = {"id": PROJECT, "name": "rehearsal", "level": "CONTRIBUTE"}
            return {"results": [described | {"describe": described}], "next": None}
        if method == "whoami":
            return {"id": USER}
        if method == "greet":
            return {"messages": [], "update": {"available": False}}
        raise Refusal(404, "ResourceNotFound", f"the stand-in has no system/{method}")

    def resolve(self, query: dict[str, Any]) -> list[dict[str, Any]]:
        folder = _folder(query.get("folder", "/"))
        return [
            {"project": PROJECT, "id": one["id"], "describe": self.describe(one)}
            for one in self.named(query["name"])
            if one["folder"] == folder
        ]

    def of_file(self, one: dict[str, Any], method: str, body: dict[str, Any]) -> Any:
        address = f"http://127.0.0.1:{self.port}"
        times = {"headers": {}, "expires": _now() + 3_600_000}
        if method == "describe":
            return self.describe(one)
        if method == "upload":
            return {"url": f"{address}/put/{one['id']}/{body.get('index', 1)}", **times}
        if method == "close":
            return self.close(one)
        if method == "download":
            if self.describe(one)["state"] != "closed":
                raise Refusal(422, "InvalidState", f"{one['id']} is not closed")
            return {"url": f"{address}/get/{one['id']}", **times}
        if method == "listProjects":
            return {PROJECT: "CONTRIBUTE"}
        raise Refusal(404, "ResourceNotFound", f"the stand-in has no file-xxxx/{method}")

    def of_project(self, method: str, body: dict[str, Any]) -> Any:
        if method == "describe":
            return {
                "id": PROJECT,
                "class": "project",
                "name": "rehearsal",
                "level": "CONTRIBUTE",
                "region": "aws:eu-west-2",
                "folders": sorted(self.folders),
                "fileUploadParameters": _SIZES,
            }
        if method == "listFolder":
            folder = _folder(body.get("folder", "/"))
            if folder not in self.folders:
                raise Refusal(404, "ResourceNotFound", "The specified folder could not be found")
            inside = [o for o in self.objects.values() if o["folder"] == folder]
            below = [f for f in self.folders if f != folder and Path(f).parent == Path(folder)]
            described = [{"id": o["id"], "describe": self.describe(o)} for o in inside]
            return {"objects": described, "folders": sorted(below)}
        if method == "newFolder":
            self.add_folder(_folder(body["folder"]))
            return {"id": PROJECT}
        if method == "removeObjects":
            return self.remove(body["objects"])
        if method == "removeFolder":
            folder = _folder(body["folder"])
            inside = [o["id"] for o in self.objects.values() if _is_inside(o["folder"], folder)]
            self.remove(inside)
            self.folders = {f for f in self.folders if not _is_inside(f, folder)}
            return {"id": PROJECT, "completed": True}
        raise Refusal(404, "ResourceNotFound", f"the stand-in has no project-xxxx/{method}")

    def of_app(self, method: str, body: dict[str, Any]) -> Any:
        if method.endswith("run"):
            job = self.identifier("job")
            self.jobs[job] = {"id": job, "class": "job", "state": "running", "run": body}
            return {"id": job}
        return {
            "id": APP,
            "class": "app",
            "name": "swiss-army-knife",
            "version": "5.0.0",
            "inputSpec": _INPUTS,
            "outputSpec": [],
            "access": {},
            "runSpec": {},
            "bill_to": USER,
        }


def _folder(path: str) -> str:
    return "/" + path.strip("/")


def _is_inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _part(path: Path) -> int:
    return int(path.suffix[1:])


def _now() -> int:
    return int(time.time() * 1000)
