"""Which ways to answer there are."""

from api.openai_compatible.errors import ModelNotFound
from api.openai_compatible.models.schemas import ModelName
from api.services import Services


def model_names(services: Services) -> list[ModelName]:
    """All of them where the operator configured a language model."""
    if services.permits.has_models:
        return list(ModelName)
    return [each for each in ModelName if each is not ModelName.LLM]


def require_model(services: Services, name: str) -> ModelName:
    """Raises ModelNotFound."""
    names = model_names(services)
    for each in names:
        if each == name:
            return each
    raise ModelNotFound("there is no such model", remedy=f"Use one of {', '.join(names)}.")
