"""What a model may call: one file per tool, the text the model reads beside it."""
