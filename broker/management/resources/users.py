"""`/api/users`, `/api/permissions`, `/api/user-limits`, `/api/whoami`: administrators' ground, but for whoami."""

from __future__ import annotations

import base64
import hashlib
import secrets
from typing import Any

from aiohttp import web

from broker.core.access import ARGON2ID, User
from broker.management.asked import ADMINISTRATOR, SEES_ALL, body_of, field, needs, require, user_of, vhost_of
from broker.management.listing import listing
from broker.management.observed import ObservedServer
from broker.management.replies import answer, bad_request, created, no_content, not_found
from broker.management.resources.vhosts import permission

NO_PASSWORD = ""
"""A hash that no password has."""
SHA256 = "rabbit_password_hashing_sha256"
ALGORITHMS = {"rabbit_password_hashing_sha256", "rabbit_password_hashing_sha512", ARGON2ID}


class Users:
    """Endpoints about users and what they may do."""

    def __init__(self, server: ObservedServer) -> None:
        self.server = server

    @property
    def access(self) -> Any:
        """core.access.Access."""
        return self.server.broker.access

    def routes(self) -> list[web.RouteDef]:
        """Paths and methods."""
        one = "/api/permissions/{vhost}/{user}"
        named = "/api/users/{user:(?!(?:bulk-delete|without-permissions)/*$)[^/]+}"
        return [
            web.get("/api/whoami", self.whoami),
            web.get("/api/hubbub/rights", self.rights),
            web.get("/api/auth/hash_password/{password}", self.hash_password),
            web.get("/api/users", self.list_all),
            web.get("/api/users/without-permissions", self.without_permissions),
            web.post("/api/users/bulk-delete", self.delete_many),
            web.get(named, self.show),
            web.put(named, self.put),
            web.delete(named, self.delete),
            web.get("/api/users/{user}/permissions", self.permissions_of),
            web.get("/api/permissions", self.permissions),
            web.get(one, self.permission),
            web.put(one, self.set_permission),
            web.delete(one, self.clear_permission),
            web.get("/api/user-limits", self.limits),
            web.get("/api/user-limits/{user}", self.limits_of),
            web.put("/api/user-limits/{user}/{name}", self.set_limit),
            web.delete("/api/user-limits/{user}/{name}", self.clear_limit),
        ]

    def named(self, request: web.Request) -> Any:
        """The user that the path names, for an administrator."""
        require(request, {ADMINISTRATOR})
        user = self.access.users.get(request.match_info["user"])
        if user is None:
            raise not_found()
        return user

    def row(self, user: Any) -> dict[str, Any]:
        """One element of `GET /api/users`."""
        return {
            "name": user.name,
            "password_hash": user.password_hash,
            "hashing_algorithm": user.algorithm,
            "tags": list(user.tags),
            "limits": self.server.broker.parameters.user_limits.get(user.name, {}),
        }

    async def whoami(self, request: web.Request) -> web.Response:
        """The user who asks."""
        user = user_of(request)
        return answer({"name": user.name, "tags": list(user.tags), "is_internal_user": True})

    async def rights(self, request: web.Request) -> web.Response:
        """The permissions of the user who asks; `null` where others decide, one question at a time."""
        user = user_of(request)
        if user.asks_others or type(user).may is not User.may:
            return answer({"permissions": None})
        return answer({"permissions": [permission(user, vhost) for vhost in user.permissions]})

    async def hash_password(self, request: web.Request) -> web.Response:
        """A salted hash as `PUT /api/users/USER` takes it in `password_hash`."""
        require(request, {ADMINISTRATOR})
        salt = secrets.token_bytes(4)
        digest = hashlib.sha256(salt + request.match_info["password"].encode()).digest()
        return answer({"ok": base64.b64encode(salt + digest).decode()})

    # ── users ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def list_all(self, request: web.Request) -> web.Response:
        """Every user, with its password's hash."""
        require(request, {ADMINISTRATOR})
        return await listing(request, map(self.row, list(self.access.users.values())))

    async def without_permissions(self, request: web.Request) -> web.Response:
        """Users who may enter no vhost."""
        require(request, {ADMINISTRATOR})
        return await listing(request, (self.row(each) for each in self.access.users.values() if not each.permissions))

    async def show(self, request: web.Request) -> web.Response:
        """One user."""
        return answer(self.row(self.named(request)))

    async def put(self, request: web.Request) -> web.Response:
        """`{"password" | "password_hash" [, "hashing_algorithm"], "tags"}`; 201 where the user is new.

        A user without a password, with an empty one or an empty hash, cannot log in by one; a certificate may.
        """
        require(request, {ADMINISTRATOR})
        name, body = request.match_info["user"], await body_of(request)
        is_new = name not in self.access.users
        tags = tags_of(body)
        password, hashed = field(body, "password", str, None), field(body, "password_hash", str, None)
        if password is not None and hashed is not None:
            raise bad_request("both_password_and_password_hash_are_provided")
        if password:
            self.access.add_user(name, password.encode(), tags=tags)
        elif hashed is not None:
            algorithm = field(body, "hashing_algorithm", str, SHA256)
            if algorithm not in ALGORITHMS:
                raise bad_request(f"hashing_algorithm: expected one of {', '.join(sorted(ALGORITHMS))}")
            self.access.import_user(name, hashed, algorithm, tags=tags)
        elif is_new or password is not None:
            self.access.import_user(name, NO_PASSWORD, SHA256, tags=tags)
        else:
            self.access.set_tags(name, tags)
        return created(is_new)

    async def delete(self, request: web.Request) -> web.Response:
        """The user goes, and its connections with it."""
        self.access.delete_user(self.named(request).name)
        return no_content()

    async def delete_many(self, request: web.Request) -> web.Response:
        """`{"users": [NAME, …]}`; where one of them is not there, nobody is deleted."""
        require(request, {ADMINISTRATOR})
        names = field(needs(await body_of(request), "users"), "users", list)
        for name in names:
            if not isinstance(name, str) or name not in self.access.users:
                raise bad_request(f"no_such_user: {name}")
        for name in dict.fromkeys(names):
            self.access.delete_user(name)
        return no_content()

    # ── permissions ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def permissions(self, request: web.Request) -> web.Response:
        """Of every user in every vhost."""
        require(request, {ADMINISTRATOR})
        users = list(self.access.users.values())
        return await listing(request, (permission(user, vhost) for user in users for vhost in user.permissions))

    async def permissions_of(self, request: web.Request) -> web.Response:
        """Of one user."""
        user = self.named(request)
        return await listing(request, [permission(user, vhost) for vhost in user.permissions])

    async def permission(self, request: web.Request) -> web.Response:
        """Of one user in one vhost."""
        user, vhost = self.named(request), vhost_of(self.server, request).name
        if vhost not in user.permissions:
            raise not_found()
        return answer(permission(user, vhost))

    async def set_permission(self, request: web.Request) -> web.Response:
        """`{"configure", "write", "read"}`: regular expressions."""
        require(request, {ADMINISTRATOR})
        vhost, name = request.match_info["vhost"], request.match_info["user"]
        body = needs(await body_of(request), "configure", "write", "read")
        if vhost not in self.server.broker.vhosts or name not in self.access.users:
            raise bad_request("vhost_or_user_not_found")
        is_new = vhost not in self.access.users[name].permissions
        self.access.set_permission(vhost, name, *(field(body, verb, str) for verb in ("configure", "write", "read")))
        return created(is_new)

    async def clear_permission(self, request: web.Request) -> web.Response:
        """The user may enter the vhost no more."""
        user, vhost = self.named(request), vhost_of(self.server, request).name
        if vhost not in user.permissions:
            raise not_found()
        self.access.clear_permission(vhost, user.name)
        return no_content()

    # ── limits ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def limits(self, request: web.Request) -> web.Response:
        """Of every user that has some."""
        require(request, SEES_ALL)
        found = self.server.broker.parameters.user_limits.items()
        return answer([{"user": name, "value": value} for name, value in found if value])

    async def limits_of(self, request: web.Request) -> web.Response:
        """Of one user."""
        require(request, SEES_ALL)
        user = self.access.user(request.match_info["user"])
        value = self.server.broker.parameters.user_limits.get(user.name)
        return answer([{"user": user.name, "value": value}] if value else [])

    async def set_limit(self, request: web.Request) -> web.Response:
        """`{"value": 10}`."""
        require(request, {ADMINISTRATOR})
        user = self.access.users.get(request.match_info["user"])
        if user is None:
            raise bad_request(f"no_such_user: {request.match_info['user']}")
        value = needs(await body_of(request), "value")["value"]
        self.server.broker.parameters.set_user_limit(user.name, request.match_info["name"], value)
        return no_content()

    async def clear_limit(self, request: web.Request) -> web.Response:
        """No limit any more."""
        self.server.broker.parameters.clear_user_limit(self.named(request).name, request.match_info["name"])
        return no_content()


def tags_of(body: dict[str, Any]) -> list[str]:
    """`"a,b"` or `["a", "b"]`; RabbitMQ insists on the field."""
    if "tags" not in body:
        raise bad_request("tags_not_present")
    tags = field(body, "tags", (str, list))
    found = tags.split(",") if isinstance(tags, str) else tags
    if not all(isinstance(each, str) for each in found):
        raise bad_request("tags: expected a list of strings")
    return [each.strip() for each in found if each.strip()]
