"""The head of the natural-scene judge, fitted on free photographs."""
