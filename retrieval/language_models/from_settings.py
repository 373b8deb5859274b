"""The way to language models, by what the settings say: for the composition roots."""

from db.session import Database
from muniment.errors import ConfigurationError
from muniment.settings import LanguageModel, ModelSettings
from retrieval.answer_permit import Permits
from retrieval.language_models.gateway import Gateway
from retrieval.language_models.model import Model
from retrieval.language_models.prompting import AnswerPrompt

SMALLEST_PROMPT_TOKENS = 1_024
"""Rules, question and a passage."""


def build_permits(settings: ModelSettings, database: Database) -> Permits:
    """Raises ConfigurationError where a window has no room for a prompt beside the answer, and for a file
    of authorities that cannot be read."""
    try:
        gateway = Gateway(
            [_model(each) for each in settings.providers],
            max_answer_tokens=settings.max_answer_tokens,
            max_concurrent=settings.max_concurrent,
        )
    except OSError as error:
        raise ConfigurationError(
            "a `ca_file` of MUNIMENT_MODELS__PROVIDERS cannot be read"
        ) from error
    for model in gateway.models:
        if model.context_tokens < gateway.most_answer_tokens(model) + SMALLEST_PROMPT_TOKENS:
            raise ConfigurationError(
                f"the window of the language model {model.name} is too small for its answers",
                remedy="Lower MUNIMENT_MODELS__MAX_ANSWER_TOKENS, or raise its `context_tokens`.",
            )
    return Permits(
        database,
        gateway,
        AnswerPrompt(settings.prompt),
        monthly_tokens=settings.monthly_tokens,
    )


def _model(settings: LanguageModel) -> Model:
    return Model(
        name=settings.name,
        model=settings.model,
        url=settings.url,
        is_local=settings.local,
        context_tokens=settings.context_tokens,
        first_token_seconds=settings.first_token_seconds,
        total_seconds=settings.total_seconds,
        api_key=settings.api_key,
        ca_file=settings.ca_file,
        request=settings.request,
    )
