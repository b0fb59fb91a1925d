"""The round trip of speech: sentences of ours are spoken, an ASR model from a package index writes them down again."""
