"""The durable truth: accounts, keys, projects, jobs and money. One contract, several backends."""
