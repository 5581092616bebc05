"""The figures: each module asks one question, by a function `measure(stage, plan)`."""
