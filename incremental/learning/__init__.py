"""How a task is learnt: the loop over tasks, gradient steps, losses, teacher, exemplars."""
