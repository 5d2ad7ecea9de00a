"""Files in a bucket of S3, or of anything that speaks its protocol."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from stack_core.apis._content import PIECE, FileContent, Upload
from stack_core.apis.files import File
from stack_core.apis.providers import ProviderId
from stack_core.errors import (
    NotFound,
    ProviderAuthFailed,
    ProviderError,
    ProviderTimeout,
    ProviderUnavailable,
    StackError,
)
from stack_core.providers._registry import provider
from stack_core.providers.files._kept import (
    MOST,
    Kept,
    KeptFiles,
    label,
    media_type_of,
    too_large,
    unbroken,
    unreadable,
)
from stack_core.storage.references import SqlReference
from stack_core.storage.sql import Sql

if TYPE_CHECKING:
    from botocore.exceptions import BotoCoreError, ClientError
    from types_boto3_s3 import S3Client

T = TypeVar("T")
_GONE = frozenset({"404", "NoSuchKey", "NotFound"})
_MADE = frozenset({"BucketAlreadyOwnedByYou", "OperationAborted"})
_REFUSED = frozenset({"401", "403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken"})


class S3Config(BaseModel):
    """Which bucket, and with which key. Without a key boto3 finds one itself: environment, profile, role."""

    model_config = ConfigDict(extra="forbid")
    bucket_name: str = Field(min_length=1)
    region: str = "us-east-1"
    aws_access_key_id: SecretStr | None = None
    aws_secret_access_key: SecretStr | None = None
    endpoint_url: str | None = Field(None, description="Of another service than AWS, such as MinIO.")
    auto_create_bucket: bool = Field(False, description="Make the bucket where there is none.")
    metadata_store: SqlReference | None = Field(None, description="Where names, owners and times are kept.")


@provider("remote::s3", packages=("boto3",), extra="s3")
class S3Files(KeptFiles):
    """Files in a bucket, each under its id. A file stays until it is deleted, unless its upload says how long."""

    Config = S3Config

    def __init__(self, config: S3Config, metadata_store: Sql, provider_id: ProviderId) -> None:
        super().__init__(metadata_store, None)
        self._config, self._id = config, provider_id
        self._made: Any = None
        self._lock = asyncio.Lock()

    async def _write(self, file: File, upload: Upload) -> Kept:
        details = {"ContentType": media_type_of(upload)}
        client = await self._client()
        with upload.opened() as source:
            reading = _Counted(upload, source)
            try:
                await self._call(client.upload_fileobj, reading, self._config.bucket_name, file.id, details)
            except asyncio.CancelledError:
                await self._remove(file.id)
                raise
        file.bytes = reading.count
        return Kept(file, media_type_of(upload), file.id)

    async def _read(self, kept: Kept) -> FileContent:
        client = await self._client()

        def open_object() -> Any:
            return client.get_object(Bucket=self._config.bucket_name, Key=kept.place)["Body"]

        try:
            body = await self._call(open_object)
        except NotFound:
            raise NotFound("file", kept.file.id, hint="its content is gone from the bucket") from None

        async def close() -> None:
            await asyncio.to_thread(body.close)

        return FileContent(
            self._pieces(body),
            filename=kept.file.filename,
            media_type=kept.media_type,
            size=kept.file.bytes,
            close=close,
        )

    async def _remove(self, place: str) -> None:
        client = await self._client()
        await self._call(lambda: client.delete_object(Bucket=self._config.bucket_name, Key=place))

    async def _pieces(self, body: Any) -> AsyncIterator[bytes]:
        while piece := await self._call(body.read, PIECE):
            yield piece

    async def _client(self) -> Any:
        """The client, made at the first call; the bucket is looked for then, not before: a service that is down when
        the stack opens may come back."""
        async with self._lock:
            if self._made is None:
                made = await asyncio.to_thread(self._make)
                await self._call(self._find_bucket, made)
                self._made = made
        return self._made

    def _make(self) -> Any:
        import boto3
        from botocore.config import Config

        config = self._config
        key, secret = config.aws_access_key_id, config.aws_secret_access_key
        return boto3.session.Session().client(
            "s3",
            region_name=config.region,
            endpoint_url=config.endpoint_url or None,
            aws_access_key_id=(key and key.get_secret_value()) or None,
            aws_secret_access_key=(secret and secret.get_secret_value()) or None,
            config=Config(connect_timeout=5, read_timeout=60, retries={"max_attempts": 3, "mode": "standard"}),
        )

    def _find_bucket(self, client: S3Client) -> None:
        from botocore.exceptions import ClientError

        try:
            client.head_bucket(Bucket=self._config.bucket_name)
        except ClientError as error:
            if _code(error) not in _GONE or not self._config.auto_create_bucket:
                raise
            self._make_bucket(client)

    def _make_bucket(self, client: S3Client) -> None:
        from botocore.exceptions import ClientError

        bucket, region = self._config.bucket_name, self._config.region
        try:
            if region == "us-east-1":  # S3 refuses its first region where a place is named
                client.create_bucket(Bucket=bucket)
            else:
                place: Any = {"LocationConstraint": region}
                client.create_bucket(Bucket=bucket, CreateBucketConfiguration=place)
        except ClientError as error:
            if _code(error) not in _MADE:  # by another process, a moment ago
                raise

    async def _call(self, work: Callable[..., T], *args: Any) -> T:
        """Do a call of boto3 in a thread.

        Raises:
            StackError: what the service said, as ours.
        """
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return await unbroken(work, *args)
        except ClientError as error:
            raise self._refused(error) from error
        except BotoCoreError as error:
            raise self._failed(error) from error
        except Boto3Error as error:
            raise ProviderError(f"{self._id}: {error}", provider_id=self._id) from error

    def _refused(self, error: ClientError) -> StackError:
        """The error for an answer of the service."""
        said = error.response.get("Error", {})
        code, words = _code(error), f"{self._id}: {said.get('Message') or error}"
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        if code == "NoSuchKey":
            return NotFound("object", "", hint="it is gone from the bucket")
        if code in _GONE or code == "NoSuchBucket":
            bucket = self._config.bucket_name
            return ProviderError(
                f"{self._id}: there is no bucket {bucket!r}", "make it, or set auto_create_bucket", provider_id=self._id
            )
        if code in _REFUSED:
            return ProviderAuthFailed(words, "check the key of this provider", provider_id=self._id)
        kind = ProviderUnavailable if status in (500, 502, 503, 504) else ProviderError
        return kind(words, provider_id=self._id, upstream_status=status)

    def _failed(self, error: BotoCoreError) -> StackError:
        """The error for a call that had no answer."""
        from botocore.exceptions import (
            ConnectTimeoutError,
            NoCredentialsError,
            PartialCredentialsError,
            ReadTimeoutError,
        )

        if isinstance(error, NoCredentialsError | PartialCredentialsError):
            hint = "set aws_access_key_id and aws_secret_access_key"
            return ProviderAuthFailed(f"{self._id}: {error}", hint, provider_id=self._id)
        if isinstance(error, ReadTimeoutError | ConnectTimeoutError):
            return ProviderTimeout(f"{self._id}: {error}", "try again", provider_id=self._id)
        return ProviderUnavailable(f"{self._id}: {error}", "check endpoint_url and the network", provider_id=self._id)


def _code(error: ClientError) -> str:
    """What S3 calls the reason of a refusal."""
    return str(error.response.get("Error", {}).get("Code"))


class _Counted:
    """An upload as boto3 reads it: only forwards, in its own threads, and never beyond the limit."""

    def __init__(self, upload: Upload, file: BinaryIO) -> None:
        self._upload, self._file = upload, file
        self.count = 0

    def read(self, most: int = -1) -> bytes:
        """The next bytes."""
        try:
            piece = self._file.read(most if most >= 0 else PIECE)
        except (OSError, ValueError) as error:
            raise unreadable(self._upload, error) from error
        self.count += len(piece)
        if self.count > MOST:
            raise too_large(label(self._upload.filename))
        return piece
