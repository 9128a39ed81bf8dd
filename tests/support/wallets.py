"""A person with a name and a password, who signs what a grid asks."""

from typing import Any, Protocol

from eth_account import Account
from eth_account.messages import encode_typed_data

from dreamgrid.protocol import wallet
from dreamgrid.protocol.wallet import TypedData


class Grid(Protocol):
    """A running server that answers calls; `key=""` means without a credential."""

    async def call(
        self, method: str, path: str, *, key: str | None = None, **options: Any
    ) -> tuple[int, Any]:
        """Status and JSON body."""


class Person:
    """Signs up and in as a client would, one request at a time."""

    def __init__(self, grid: Grid, username: str, password: str = "secret") -> None:
        self.grid = grid
        self.username = username
        self.account = Account.from_key(wallet.private_key(username, password))

    @property
    def address(self) -> str:
        return str(self.account.address)

    def sign(self, typed: TypedData) -> str:
        signable = encode_typed_data(typed.domain, typed.types, typed.message)
        return "0x" + str(self.account.sign_message(signable).signature.hex())

    async def nonce(self) -> str:
        status, body = await self.post("nonce", walletAddress=self.address)
        assert status == 200, body
        return str(body["data"]["nonce"])

    async def sign_up(
        self,
        nonce: str | None = None,
        *,
        testnet: bool = False,
        headers: dict[str, str] | None = None,
        **changes: Any,
    ) -> tuple[int, Any]:
        """Asks for an account; `changes` are made after signing."""
        email = f"{self.username}@example.com"
        typed = wallet.signup(
            app_id="app-1",
            username=self.username,
            email=email,
            subscribe=0,
            address=self.address,
            nonce=nonce or await self.nonce(),
            testnet=testnet,
        )
        wish = {
            "appid": "app-1",
            "username": self.username,
            "email": email,
            "subscribe": 0,
            "walletAddress": self.address,
            "signature": self.sign(typed),
            "turnstileToken": "ignored",
        }
        path = "/v1/account/create"
        return await self.grid.call(
            "POST", path, key="", json=wish | changes, headers=headers or {}
        )

    async def log_in(
        self, nonce: str | None = None, *, testnet: bool = False, **changes: Any
    ) -> tuple[int, Any]:
        """Asks to be signed in; `changes` are made after signing."""
        nonce = nonce or await self.nonce()
        signature = self.sign(wallet.authentication(self.address, nonce, testnet=testnet))
        wish = {"walletAddress": self.address, "signature": signature}
        return await self.post("login", **wish | changes)

    async def post(self, path: str, **body: Any) -> tuple[int, Any]:
        return await self.grid.call("POST", f"/v1/account/{path}", key="", json=body)


async def member(grid: Grid, username: str) -> dict[str, str]:
    """A new account; its tokens."""
    status, body = await Person(grid, username).sign_up()
    assert status == 200, body
    tokens: dict[str, str] = body["data"]
    return tokens
