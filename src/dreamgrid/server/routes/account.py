"""Accounts: who am I, what do I own, which keys have I."""

from aiohttp import web

from dreamgrid.errors import InvalidRequest
from dreamgrid.protocol.rest import Grant, KeyList, Me, NewKey
from dreamgrid.server.http import answer, body, require_account
from dreamgrid.server.services import Services

MAX_KEY_NAME_CHARS = 100


def routes(services: Services) -> list[web.RouteDef]:
    """The endpoints under `/v1/account`, grants, balances, and the subscription probe."""
    accounts = services.accounts

    async def me(request: web.Request) -> web.Response:
        account = require_account(request)
        return answer(
            Me(
                username=account.username,
                wallet_address=account.address,
                current_email=await accounts.email(account),
            )
        )

    async def balance(request: web.Request) -> web.Response:
        return answer(await accounts.balance(require_account(request).id))

    async def list_keys(request: web.Request) -> web.Response:
        return answer(KeyList(keys=await accounts.keys(require_account(request))))

    async def create_key(request: web.Request) -> web.Response:
        account = require_account(request)
        wish = await body(request, NewKey)
        if len(wish.name) > MAX_KEY_NAME_CHARS:
            raise InvalidRequest(f"a key's name has at most {MAX_KEY_NAME_CHARS} characters")
        return answer(await accounts.create_key(account, wish.name), status=201)

    async def revoke_key(request: web.Request) -> web.Response:
        await accounts.revoke_key(require_account(request), request.match_info["key_id"])
        return answer({})

    async def grant(request: web.Request) -> web.Response:
        account = require_account(request)
        return answer(await accounts.grant(account, await body(request, Grant)), status=201)

    async def subscription_status(request: web.Request) -> web.Response:
        require_account(request)
        return answer({"subscription": {"active": False, "status": "none"}})

    return [
        web.get("/v1/account/me", me),
        *(web.get(f"/v{version}/account/balance", balance) for version in (1, 2, 3, 4)),
        web.get("/v1/account/keys", list_keys),
        web.post("/v1/account/keys", create_key),
        web.delete("/v1/account/keys/{key_id}", revoke_key),
        web.post("/v1/admin/grants", grant),
        web.get("/v1/subscriptions/status", subscription_status),
    ]
