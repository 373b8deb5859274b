"""`python -m deploy.setup.embedding_model`: prepares the model where the embedded stack looks, and
prints the folder."""

import sys

from deploy.embedded.home import model_directory
from muniment.embedding import prepare_model

if __name__ == "__main__":
    sys.stdout.write(f"{prepare_model(model_directory())}\n")
