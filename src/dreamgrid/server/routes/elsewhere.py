"""What clients ask that comes from other grids, and a grid of one's own does not have.

Where something is looked at the answer is empty, so that apps go on; where something is to be done
they are told that it was not.
"""

from typing import Any, NoReturn

from dreamgrid.errors import NotFound
from dreamgrid.protocol.rest_account import Nothing, Rewards, WalletBalance
from dreamgrid.protocol.rest_catalog import PersonalLoras
from dreamgrid.protocol.rest_elsewhere import (
    Announcements,
    Dismissed,
    ElsewherePath,
    ReplayRecords,
    SavedUploads,
    SubscriptionStatus,
)
from dreamgrid.server.auth import Account
from dreamgrid.server.endpoint import Endpoints
from dreamgrid.server.services import Services

_ASSET = "{id:(?!(?:capabilities|prepare)$)[^/]+}"
_LORA = "{id:(?!catalog$)[^/]+}"
"""Ids are whatever is not a path of its own: no DELETE is told of those."""


def routes(services: Services) -> Endpoints:
    """Subscriptions, rewards, wallets, announcements, saved uploads, personal LoRAs, replays."""
    del services
    api = Endpoints("Other grids", "What clients of other grids ask, and this one does not have.")
    _about_accounts(api)
    _saved_uploads(api)
    _personal_loras(api)
    _replays(api)
    return api


def _about_accounts(api: Endpoints) -> None:
    @api.get("/v1/subscriptions/status")
    async def subscription_status(account: Account) -> SubscriptionStatus:
        """Whether there is a subscription. There is none on this server."""
        del account
        return SubscriptionStatus()

    @api.get("/v4/account/rewards")
    async def rewards(account: Account) -> Rewards:
        """Rewards to claim: none here."""
        del account
        return Rewards()

    @api.post("/v3/account/reward/claim", scope="read")
    async def claim_reward(account: Account) -> Nothing:
        """Claims rewards, of which there are none: changes nothing."""
        del account
        return Nothing()

    @api.get("/v2/wallet/balance")
    async def wallet_balance(account: Account) -> WalletBalance:
        """What lies on a blockchain: nothing here."""
        del account
        return WalletBalance()

    @api.get("/v1/leaderboard/")
    async def leaderboard() -> tuple[dict[str, Any], ...]:
        """Who rendered most: not told here."""
        return ()

    @api.get("/v1/announcements/active")
    async def announcements(account: Account) -> Announcements:
        """News of the operator: none here."""
        del account
        return Announcements()

    @api.post("/v1/announcements/{id}/dismiss", scope="read")
    async def dismiss_announcement(account: Account, path: ElsewherePath) -> Dismissed:
        """Hides an announcement: whichever it is, it is not shown here."""
        del account
        return Dismissed(id=path.id)

    @api.post("/v1/account/device-id", scope="read")
    async def device_id(account: Account) -> Nothing:
        """Takes the id of a device, and forgets it."""
        del account
        return Nothing()


def _saved_uploads(api: Endpoints) -> None:
    def refuse() -> NoReturn:
        raise NotFound("saved uploads are off on this grid: upload the file for each project")

    @api.get("/v1/assets")
    async def saved_uploads(account: Account) -> SavedUploads:
        """Inputs that are kept for further projects: none here."""
        del account
        return SavedUploads()

    @api.post("/v1/assets/prepare", scope="read", errors=(NotFound,))
    async def prepare_saved_upload(account: Account) -> Nothing:
        """Refused: inputs are uploaded for each project here."""
        del account
        refuse()

    @api.post("/v1/assets/{id}/finalize", "/v1/assets/{id}/bind", scope="read", errors=(NotFound,))
    async def use_saved_upload(account: Account, path: ElsewherePath) -> Nothing:
        """Refused: inputs are uploaded for each project here."""
        del account, path
        refuse()

    @api.delete(f"/v1/assets/{_ASSET}", scope="read", errors=(NotFound,))
    async def remove_saved_upload(account: Account, path: ElsewherePath) -> Nothing:
        """Refused: there are no saved uploads here."""
        del account, path
        refuse()


def _personal_loras(api: Endpoints) -> None:
    def refuse() -> NoReturn:
        raise NotFound("there are no personal LoRAs on this grid: its operator adds them for all")

    @api.get("/v1/loras/personal", "/v1/loras/personal/catalog")
    async def personal_loras(account: Account) -> PersonalLoras:
        """LoRAs of your own. There are none on this server: its owner adds them for everybody."""
        del account
        return PersonalLoras()

    @api.post("/v1/loras/personal", scope="read", errors=(NotFound,))
    async def import_personal_lora(account: Account) -> Nothing:
        """Refused: the operator of this grid adds LoRAs, for everybody."""
        del account
        refuse()

    @api.get(f"/v1/loras/personal/{_LORA}", errors=(NotFound,))
    async def personal_lora(account: Account, path: ElsewherePath) -> Nothing:
        """Refused: there are no personal LoRAs here."""
        del account, path
        refuse()

    @api.delete(f"/v1/loras/personal/{_LORA}", scope="read", errors=(NotFound,))
    async def remove_personal_lora(account: Account, path: ElsewherePath) -> Nothing:
        """Refused: there are no personal LoRAs here."""
        del account, path
        refuse()


def _replays(api: Endpoints) -> None:
    def refuse() -> NoReturn:
        raise NotFound("replay records are not kept on this grid, which has no chat either")

    @api.get("/v1/replay/records", bare=True)
    async def replay_records(account: Account) -> ReplayRecords:
        """Records of conversations with a language model: none here."""
        del account
        return ReplayRecords()

    @api.post("/v1/replay/records", scope="read", errors=(NotFound,))
    async def keep_replay_record(account: Account) -> Nothing:
        """Refused: no such records are kept here."""
        del account
        refuse()

    @api.get("/v1/replay/records/{id}", errors=(NotFound,))
    async def replay_record(account: Account, path: ElsewherePath) -> Nothing:
        """Refused: no such records are kept here."""
        del account, path
        refuse()
