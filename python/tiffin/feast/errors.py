"""Feast's exception classes: those that Tiffin raises, and names for ``except`` clauses.

A class of Feast's is here one of three: Tiffin's class that is raised for the same reason by the
same name; a wider one of Tiffin's, so that handlers still catch; or a class that is never raised,
because what it tells of (another store's trouble) does not happen here.
"""

from tiffin.errors import (
    CancelledError,
    ConflictError,
    DataSourceObjectNotFoundException,
    EntityNotFoundException,
    FeatureServiceNotFoundException,
    FeatureViewNotFoundException,
    InvalidError,
    NotFoundError,
    OnDemandFeatureViewNotFoundException,
    PermissionObjectNotFoundException,
    ProjectObjectNotFoundException,
    PushSourceNotFoundException,
    RequestDataNotFoundInEntityDfException,
    RequestDataNotFoundInEntityRowsException,
    SavedDatasetAlreadyExists,
    SavedDatasetLocationAlreadyExists,
    SavedDatasetNotFound,
    SchemaError,
    TiffinError,
    UnsupportedError,
    ValidationReferenceNotFound,
)

__all__ = [
    "ConcurrentVersionConflict",
    "ConflictingFeatureViewNames",
    "DataSourceNoNameException",
    "DataSourceNotFoundException",
    "DataSourceObjectNotFoundException",
    "DataSourceRepeatNamesException",
    "EntityDFNotDateTime",
    "EntityNotFoundException",
    "EntityTimestampInferenceException",
    "FeastEntityDFMissingColumnsError",
    "FeastError",
    "FeastJoinKeysDuringMaterialization",
    "FeastObjectNotFoundException",
    "FeastOfflineStoreUnsupportedDataSource",
    "FeastOnlineStoreUnsupportedDataSource",
    "FeatureNameCollisionError",
    "FeatureServiceNotFoundException",
    "FeatureViewMissingDuringFeatureServiceInference",
    "FeatureViewNotFoundException",
    "InvalidEntityType",
    "InvalidFeaturesParameterType",
    "OnDemandFeatureViewNotFoundException",
    "PermissionNotFoundException",
    "PermissionObjectNotFoundException",
    "ProjectNotFoundException",
    "ProjectObjectNotFoundException",
    "PushSourceNotFoundException",
    "RegistryInferenceFailure",
    "RequestDataNotFoundInEntityDfException",
    "RequestDataNotFoundInEntityRowsException",
    "SavedDatasetAlreadyExists",
    "SavedDatasetLocationAlreadyExists",
    "SavedDatasetNotFound",
    "SpecifiedFeaturesNotPresentError",
    "ValidationReferenceNotFound",
    "ZeroColumnQueryResult",
    "ZeroRowsQueryResult",
]

FeastError = TiffinError
FeastObjectNotFoundException = NotFoundError

# Raised here as one of the wider classes.
ConcurrentVersionConflict = ConflictError
ConflictingFeatureViewNames = InvalidError
DataSourceNoNameException = InvalidError
DataSourceNotFoundException = NotFoundError
DataSourceRepeatNamesException = InvalidError
EntityDFNotDateTime = SchemaError
EntityTimestampInferenceException = SchemaError
FeastEntityDFMissingColumnsError = SchemaError
FeastJoinKeysDuringMaterialization = SchemaError
FeastOfflineStoreUnsupportedDataSource = UnsupportedError
FeastOnlineStoreUnsupportedDataSource = UnsupportedError
FeatureNameCollisionError = InvalidError
FeatureViewMissingDuringFeatureServiceInference = NotFoundError
InvalidEntityType = SchemaError
InvalidFeaturesParameterType = SchemaError
PermissionNotFoundException = PermissionObjectNotFoundException
ProjectNotFoundException = ProjectObjectNotFoundException
RegistryInferenceFailure = TiffinError
SpecifiedFeaturesNotPresentError = SchemaError
ZeroColumnQueryResult = InvalidError
ZeroRowsQueryResult = InvalidError
BigQueryJobCancelled = CancelledError

# Never raised: nothing here can fail so.
_NEVER = (
    "BigQueryJobStillRunning DataFrameSerializationError DockerDaemonNotRunning "
    "EntitySQLEmptyResults FeastClassImportError FeastExtrasDependencyImportError "
    "FeastFeatureServerTypeInvalidError FeastInvalidAuthConfigClass FeastInvalidBaseClass "
    "FeastInvalidInfraObjectType FeastModuleImportError FeastOfflineStoreInvalidName "
    "FeastOnlineStoreInvalidName FeastPermissionError FeastProviderLoginError "
    "FeastProviderNotImplementedError FeastRegistryNotSetError FeastRegistryTypeInvalidError "
    "FeatureViewPinConflict FeatureViewVersionNotFound "
    "ReadOnlyRegistryException RedshiftCredentialsError "
    "RedshiftQueryError RedshiftTableNameTooLong S3RegistryBucketForbiddenAccess "
    "S3RegistryBucketNotExist SnowflakeCredentialsError SnowflakeIncompleteConfig "
    "SnowflakeQueryError SnowflakeQueryUnknownError VersionedOnlineReadNotSupported"
)
for _name in _NEVER.split():
    globals()[_name] = type(
        _name, (TiffinError,), {"__doc__": "Feast's; never raised here.", "__module__": __name__}
    )
