package escalate

func (c *conversation) assign(string) {}
