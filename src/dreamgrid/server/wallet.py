"""Sign-in by wallet signature: nonces, and who signed one."""

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

from dreamgrid.errors import NotAllowed, ServerUnavailable
from dreamgrid.protocol import wallet
from dreamgrid.protocol.rest_account import LoginRequest, SignupRequest
from dreamgrid.protocol.wallet import TypedData

NONCE_S = 5 * 60.0
"""How long a nonce may be signed; clients need a second."""

NONCES_PER_WALLET = 32
"""Logins of one wallet that may be under way at once; an older nonce is forgotten."""

_MAX_WALLETS = 10_000
_THREADS = 2
_NONCE_BYTES = 16
_WRONG = "wrong username or password"
_NO_LIBRARY = (
    "this server cannot check a wallet's signature, because eth-account is missing: install it "
    "with pip install -e '.[wallet]' in the clone, or use an API key"
)


class Nonces:
    """The nonces that were handed out and not used yet, in memory: after a restart one asks again.

    Args:
        clock: Seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._wallets: OrderedDict[str, list[tuple[str, float]]] = OrderedDict()

    def issue(self, address: str) -> str:
        """A fresh nonce for a wallet, known or not."""
        nonce = secrets.token_hex(_NONCE_BYTES)
        kept = [*self._valid(address), (nonce, self._clock() + NONCE_S)]
        self._wallets[address.lower()] = kept[-NONCES_PER_WALLET:]
        self._wallets.move_to_end(address.lower())
        if len(self._wallets) > _MAX_WALLETS:
            self._wallets.popitem(last=False)
        return nonce

    def valid(self, address: str) -> list[str]:
        """The nonces that a wallet may still use, newest first."""
        return [nonce for nonce, _ in reversed(self._valid(address))]

    def use(self, address: str, nonce: str) -> bool:
        """Takes a nonce out; False when somebody else was faster."""
        kept = self._valid(address)
        left = [row for row in kept if row[0] != nonce]
        if left:
            self._wallets[address.lower()] = left
        else:
            self._wallets.pop(address.lower(), None)
        return len(left) < len(kept)

    def _valid(self, address: str) -> list[tuple[str, float]]:
        now_s = self._clock()
        return [row for row in self._wallets.get(address.lower(), ()) if row[1] > now_s]


class Wallets:
    """Checks what wallets signed. Each nonce is good for one success."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.nonces = Nonces(clock)
        self._threads = ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="signatures")

    def close(self) -> None:
        """Ends the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def check_login(self, request: LoginRequest) -> None:
        """Makes sure that the wallet itself asks to sign in.

        Raises:
            NotAllowed: The signature is not of this wallet, or of no valid nonce.
            ServerUnavailable: The library that checks signatures is not installed.
        """

        def typed(nonce: str, testnet: bool) -> TypedData:
            return wallet.authentication(request.wallet_address, nonce, testnet=testnet)

        await self._check(request.wallet_address, request.signature, typed)

    async def check_signup(self, request: SignupRequest) -> None:
        """Makes sure that the wallet itself asks to sign up, with these very values.

        Raises:
            NotAllowed: The signature is not of this wallet, or of other values.
            ServerUnavailable: The library that checks signatures is not installed.
        """

        def typed(nonce: str, testnet: bool) -> TypedData:
            return wallet.signup(
                app_id=request.app_id,
                username=request.username,
                email=request.email,
                subscribe=request.subscribe,
                address=request.wallet_address,
                nonce=nonce,
                testnet=testnet,
            )

        await self._check(request.wallet_address, request.signature, typed)

    async def _check(
        self, address: str, signature: str, typed: Callable[[str, bool], TypedData]
    ) -> None:
        """The nonce is not sent along, so each one that the wallet holds is tried."""
        run = asyncio.get_running_loop().run_in_executor
        for nonce in self.nonces.valid(address):
            for testnet in (False, True):
                # Curve arithmetic in Python takes 20 ms: not on the event loop, and not on the
                # threads that store media either.
                who = await run(self._threads, signer, typed(nonce, testnet), signature)
                if who is not None and who.lower() == address.lower():
                    if self.nonces.use(address, nonce):
                        return
                    raise NotAllowed(f"{_WRONG}: this nonce was used already; ask for a new one")
        raise NotAllowed(_WRONG)


def why_not() -> str | None:
    """Why no signature can be checked here; None: they can. Loads nothing."""
    return None if find_spec("eth_account") else _NO_LIBRARY


def signer(typed: TypedData, signature: str) -> str | None:
    """The address of the wallet that signed `typed`; None when the signature is none at all.

    Args:
        typed: What should have been signed.
        signature: 65 bytes as hex with 0x.

    Raises:
        ServerUnavailable: The library is not installed.
    """
    try:
        # Loaded when somebody signs in: it takes a second, and key-only servers run without it.
        from eth_account import Account  # noqa: PLC0415
        from eth_account.messages import encode_typed_data  # noqa: PLC0415
        from eth_keys.exceptions import BadSignature  # noqa: PLC0415
    except ImportError:
        raise ServerUnavailable(_NO_LIBRARY) from None
    signable = encode_typed_data(typed.domain, typed.types, typed.message)
    try:
        address: str = Account.recover_message(signable, signature=bytes.fromhex(signature[2:]))
    except (BadSignature, ValueError):
        return None
    return address
