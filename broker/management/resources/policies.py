"""`/api/policies`, `/api/operator-policies`, `/api/parameters`, `/api/global-parameters`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from aiohttp import web

from broker.core import policy_words as words
from broker.core.errors import NotFound
from broker.core.policy import Policy
from broker.management.asked import (
    ADMINISTRATOR,
    SETS_POLICIES,
    acting_in,
    body_of,
    field,
    needs,
    require,
    sees_vhost,
    user_of,
    vhost_of,
)
from broker.management.listing import listing
from broker.management.observed import ObservedServer
from broker.management.replies import ApiError, answer, bad_request, created, no_content, not_found, refused
from broker.management.slices import done

ANY: tuple[type, ...] = (str, int, float, bool, dict, list, type(None))


class PolicyEndpoints:
    """Of one kind: policies, or operator policies, which only administrators set."""

    def __init__(self, server: ObservedServer, *, operator: bool) -> None:
        self.server = server
        self.operator = operator
        self.path = "/api/operator-policies" if operator else "/api/policies"
        self.tags = {ADMINISTRATOR} if operator else SETS_POLICIES

    def routes(self) -> list[web.RouteDef]:
        """Paths and methods."""
        one = f"{self.path}/{{vhost}}/{{name}}"
        return [
            web.get(self.path, self.list_all),
            web.get(f"{self.path}/{{vhost}}", self.list_vhost),
            web.get(one, self.show),
            web.put(one, self.put),
            web.delete(one, self.delete),
        ]

    def rows(self, vhost: Any) -> Iterator[dict[str, Any]]:
        """Those of a vhost."""
        for each in list(vhost.policies.of_kind(self.operator).values()):
            yield policy(vhost.name, each)

    async def list_all(self, request: web.Request) -> web.Response:
        """Of every vhost that the user may see."""
        user = user_of(request)
        vhosts = [each for each in self.server.broker.vhosts.values() if sees_vhost(user, each.name)]
        return await listing(request, (row for vhost in vhosts for row in self.rows(vhost)))

    async def list_vhost(self, request: web.Request) -> web.Response:
        """Of one vhost."""
        return await listing(request, self.rows(vhost_of(self.server, request)))

    async def show(self, request: web.Request) -> web.Response:
        """One policy."""
        if self.operator:
            require(request, self.tags)
        vhost = vhost_of(self.server, request)
        found = vhost.policies.of_kind(self.operator).get(request.match_info["name"])
        if found is None:
            raise not_found()
        return answer(policy(vhost.name, found))

    def set_in(self, request: web.Request) -> Any:
        """The vhost that the path names, for who may set policies there."""
        require(request, self.tags)
        return as_object(partial(acting_in, self.server), request)

    async def put(self, request: web.Request) -> web.Response:
        """`{"pattern", "definition", "priority", "apply-to"}`; in force at once, also on what is there."""
        vhost, name = self.set_in(request), request.match_info["name"]
        is_new = name not in vhost.policies.of_kind(self.operator)
        body = needs(await body_of(request), "pattern", "definition")
        await done(vhost.policies.putting(policy_of(name, body, self.operator)))
        return created(is_new)

    async def delete(self, request: web.Request) -> web.Response:
        """Forget a policy."""
        await done(self.set_in(request).policies.removing(request.match_info["name"], self.operator))
        return no_content()


class ParameterEndpoints:
    """Runtime parameters of vhosts, and global ones."""

    def __init__(self, server: ObservedServer) -> None:
        self.server = server

    @property
    def parameters(self) -> Any:
        """core.parameters.Parameters."""
        return self.server.broker.parameters

    def routes(self) -> list[web.RouteDef]:
        """Paths and methods."""
        one, of_all = "/api/parameters/{component}/{vhost}/{name}", "/api/global-parameters/{name}"
        return [
            web.get("/api/parameters", self.list_some),
            web.get("/api/parameters/{component}", self.list_some),
            web.get("/api/parameters/{component}/{vhost}", self.list_some),
            web.get(one, self.show),
            web.put(one, self.put),
            web.delete(one, self.delete),
            web.get("/api/global-parameters", self.list_global),
            web.get(of_all, self.show_global),
            web.put(of_all, self.put_global),
            web.delete(of_all, self.delete_global),
        ]

    async def list_some(self, request: web.Request) -> web.Response:
        """All, of a component, or of a component in a vhost."""
        user = require(request, SETS_POLICIES)
        wanted = self.vhost(request) if "vhost" in request.match_info else None
        found = self.parameters.find(request.match_info.get("component"), wanted)
        return await listing(request, (row(key, value) for key, value in found if key[1] and sees_vhost(user, key[1])))

    def key(self, request: web.Request) -> tuple[str, str, str]:
        """Component, vhost and name of the path."""
        require(request, SETS_POLICIES)
        return request.match_info["component"], self.vhost(request), request.match_info["name"]

    def vhost(self, request: web.Request) -> str:
        """The name of the vhost that the path names."""
        name: str = as_object(partial(vhost_of, self.server), request).name
        return name

    async def show(self, request: web.Request) -> web.Response:
        """One parameter."""
        key = self.key(request)
        return answer(row(key, self.parameters.get(*key)))

    async def put(self, request: web.Request) -> web.Response:
        """`{"value": …}`."""
        return self.set(self.key(request), field(await body_of(request), "value", ANY))

    async def delete(self, request: web.Request) -> web.Response:
        """Forget one."""
        self.parameters.remove(*self.key(request))
        return no_content()

    def set(self, key: tuple[str, str, str], value: Any) -> web.Response:
        """Set one; 201 where it is new."""
        try:
            self.parameters.get(*key)
            is_new = False
        except NotFound:
            is_new = True
        self.parameters.put(*key, value)
        return created(is_new)

    # ── global ones: of no component and no vhost ─────────────────────────────────────────────────────────────────────

    async def list_global(self, request: web.Request) -> web.Response:
        """Every global parameter."""
        require(request, SETS_POLICIES)
        found = self.parameters.find("", "")
        return await listing(request, ({"name": key[2], "value": value} for key, value in found))

    async def show_global(self, request: web.Request) -> web.Response:
        """One global parameter."""
        require(request, SETS_POLICIES)
        name = request.match_info["name"]
        return answer({"name": name, "value": self.parameters.get("", "", name)})

    async def put_global(self, request: web.Request) -> web.Response:
        """`{"value": …}`."""
        require(request, SETS_POLICIES)
        require(request, {ADMINISTRATOR})
        return self.set(("", "", request.match_info["name"]), field(await body_of(request), "value", ANY))

    async def delete_global(self, request: web.Request) -> web.Response:
        """Forget one."""
        require(request, SETS_POLICIES)
        require(request, {ADMINISTRATOR})
        self.parameters.remove("", "", request.match_info["name"])
        return no_content()


def as_object(find: Callable[[web.Request], Any], request: web.Request) -> Any:
    """A vhost, refused in RabbitMQ's words for what policymakers set there."""
    try:
        return find(request)
    except ApiError as error:
        raise refused("User not authorised to access object") if error.status == 401 else error from None


def policy(vhost: str, each: Policy) -> dict[str, Any]:
    """One element of `GET /api/policies`."""
    return {
        "vhost": vhost,
        "name": each.name,
        "pattern": each.pattern,
        "apply-to": each.apply_to,
        "definition": each.definition,
        "priority": each.priority,
    }


def policy_of(name: str, body: dict[str, Any], operator: bool) -> Policy:
    """A policy from its JSON."""
    pattern, priority = body["pattern"], body.get("priority", 0)
    if not isinstance(pattern, str):
        raise bad_request(words.failed(f"pattern should be a binary but was {words.shown(pattern)}"))
    if isinstance(priority, bool) or not isinstance(priority, int):
        raise bad_request(words.failed(f"priority should be a number, actually was {words.shown(priority)}"))
    return Policy(
        name,
        pattern,
        field(body, "definition", dict),
        apply_to=field(body, "apply-to", str, "all"),
        priority=priority,
        operator=operator,
    )


def row(key: tuple[str, str, str], value: Any) -> dict[str, Any]:
    """One element of `GET /api/parameters`."""
    component, vhost, name = key
    return {"component": component, "vhost": vhost, "name": name, "value": value}
