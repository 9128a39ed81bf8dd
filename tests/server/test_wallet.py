"""Signatures of wallets, against vectors that both published SDKs agree on."""

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data

from dreamgrid.protocol import wallet
from dreamgrid.protocol.wallet import TypedData
from dreamgrid.server.wallet import NONCE_S, NONCES_PER_WALLET, Nonces, signer

ADDRESS = "0x559f666C99e6865Be2BB037d3E213DC97CAE6A2b"
NONCE = "nonce-123"
LOGIN = wallet.authentication(ADDRESS, NONCE, testnet=False)
TESTNET_LOGIN = wallet.authentication(ADDRESS, NONCE, testnet=True)
SIGNUP = wallet.signup(
    app_id="app-1",
    username="Alice",
    email="alice@example.com",
    subscribe=0,
    address=ADDRESS,
    nonce=NONCE,
    testnet=False,
)
SIGNATURES = {
    "login": (
        LOGIN,
        "0x581ea96f5d383171caffcbb69070b283edb3d414b35919479080647e6001453406849ba16dbb4bd37d473c55"
        "c002a9e953ada082d5ee40b671a9d6aeb79448b21b",
    ),
    "testnet login": (
        TESTNET_LOGIN,
        "0x45a4077c2b173b56b545b4052bcbf8b1d52dc9b34f5d8b175d316d0d1e6922c82941ab79b34a3e6117d78fff"
        "368da4a9d60ac1e5e9e9ba503977bfcb25f34fe51b",
    ),
    "sign-up": (
        SIGNUP,
        "0xf77d573b231b0d427261ed7bef9f664d63c82862db23a531586d4d800d2504cd38e9115b349d00dacde533a3"
        "62c2e89232031ea74b45a203878585560a5b26f81b",
    ),
}


class Clock:
    now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


def test_name_and_password_make_the_key_in_any_case_of_the_name() -> None:
    key = wallet.private_key("Alice", "secret")
    assert key.hex() == "fd18be9b19a09ad3b121629ad7e3ecafbb60cea778d7f2546a0f445ca437c939"
    assert key == wallet.private_key("aLICE", "secret")
    assert Account.from_key(key).address == ADDRESS


@pytest.mark.parametrize(("typed", "signature"), SIGNATURES.values(), ids=SIGNATURES)
def test_the_signer_of_a_published_vector_is_found(typed: TypedData, signature: str) -> None:
    assert signer(typed, signature) == ADDRESS


def test_a_signature_counts_for_its_own_text_and_network_only() -> None:
    _, signature = SIGNATURES["login"]
    other_nonce = wallet.authentication(ADDRESS, "nonce-124", testnet=False)
    assert ADDRESS not in {
        signer(TESTNET_LOGIN, signature),
        signer(other_nonce, signature),
        signer(SIGNUP, signature),
    }


@pytest.mark.parametrize(
    ("typed", "domain", "digest"),
    [
        (
            LOGIN,
            "b4ae5d42e002907db9b857804c003855c5441e3cf93a2a976749b2ce22baee4c",
            "86b4091a84f1538db4f0acdca950a00c506cbd82ec1cabdd8d8e2c59b4a55e3b",
        ),
        (
            SIGNUP,
            "b4ae5d42e002907db9b857804c003855c5441e3cf93a2a976749b2ce22baee4c",
            "7c0c404f469fd97cb6d1a61253f7a47121c2c02d3e2afc594c0798427b897440",
        ),
        (TESTNET_LOGIN, "e4fdded0ead6e2c670fd300d52676517ce95e4af9fa2a6de05c9898bdb5184ff", None),
    ],
    ids=["login", "sign-up", "testnet"],
)
def test_what_is_signed_hashes_as_published(
    typed: TypedData, domain: str, digest: str | None
) -> None:
    from eth_utils.crypto import keccak

    signable = encode_typed_data(typed.domain, typed.types, typed.message)
    assert signable.header.hex() == domain
    whole = keccak(b"\x19" + signable.version + signable.header + signable.body)
    assert digest in (None, whole.hex())


@pytest.mark.parametrize("junk", ["00" * 65, "ff" * 65, "01" * 64 + "1b", "22" * 64 + "05"])
def test_junk_is_nobodys_signature(junk: str) -> None:
    assert signer(LOGIN, "0x" + junk) != ADDRESS


def test_a_nonce_is_good_once_and_not_for_long() -> None:
    clock = Clock()
    nonces = Nonces(clock)
    first, second = nonces.issue(ADDRESS), nonces.issue(ADDRESS.lower())
    assert nonces.valid(ADDRESS.upper().replace("0X", "0x")) == [second, first]
    assert nonces.use(ADDRESS, first)
    assert not nonces.use(ADDRESS, first)
    clock.now_s += NONCE_S
    assert not nonces.use(ADDRESS, second)
    assert nonces.valid(ADDRESS) == []


def test_a_wallet_holds_a_few_nonces_only() -> None:
    nonces = Nonces(Clock())
    issued = [nonces.issue(ADDRESS) for _ in range(NONCES_PER_WALLET + 2)]
    assert nonces.valid(ADDRESS) == issued[:1:-1]
