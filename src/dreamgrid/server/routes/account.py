"""Accounts: who am I, what do I own, which keys have I."""

from dreamgrid.errors import InvalidRequest, NotFound
from dreamgrid.protocol.rest import KeyInfo, KeyList, Me, NewKey
from dreamgrid.protocol.rest_account import KeyPath, Nothing
from dreamgrid.protocol.socket import BalanceUpdate
from dreamgrid.server.auth import Account
from dreamgrid.server.endpoint import Endpoints
from dreamgrid.server.services import Services

MAX_KEY_NAME_CHARS = 100


def routes(services: Services) -> Endpoints:
    """The endpoints under `/v1/account`, and balances."""
    accounts = services.accounts
    api = Endpoints("Account", "Who you are, what you own, and your API keys.")

    @api.get("/v1/account/me", scope=None)
    async def me(account: Account) -> Me:
        """Who the credential belongs to."""
        return Me(
            username=account.username,
            wallet_address=account.address,
            current_email=await accounts.email(account),
            administrator=services.is_administrator(account.username),
        )

    @api.get(*(f"/v{version}/account/balance" for version in (4, 3, 2, 1)))
    async def balance(account: Account) -> BalanceUpdate:
        """What can be spent, in both currencies, as decimal strings.

        All versions answer the same. `net` is what is free: settled less what open projects hold.
        """
        return await accounts.balance(account.id)

    @api.get("/v1/account/keys", scope="all")
    async def list_keys(account: Account) -> KeyList:
        """Your API keys, oldest first, without their secrets."""
        return KeyList(keys=await accounts.keys(account))

    @api.post("/v1/account/keys", status=201)
    async def create_key(account: Account, body: NewKey) -> KeyInfo:
        """Makes an API key. Its secret is in this answer and is never shown again."""
        if len(body.name) > MAX_KEY_NAME_CHARS:
            raise InvalidRequest(f"a key's name has at most {MAX_KEY_NAME_CHARS} characters")
        return await accounts.create_key(
            account,
            body.name,
            scope=body.scope,
            max_per_day=body.max_per_day,
            max_total=body.max_total,
        )

    @api.delete("/v1/account/keys/{keyId}", errors=(NotFound,))
    async def revoke_key(account: Account, path: KeyPath) -> Nothing:
        """Revokes an API key; what is connected with it is disconnected at once."""
        await accounts.revoke_key(account, path.key_id)
        return Nothing()

    return api
