package query

// SettleCache waits until what was offered to the cache is in it, or not.
func (e *Engine) SettleCache() { e.answers.Wait() }
