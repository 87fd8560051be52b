// Package admission decides which queries run, on how many CPU slots, and how much
// they may hold.
//
// Its nouns:
//
//   - Queue: a bounded number of queries run, in light or heavy slots, and a bounded
//     number wait.
//   - Scheduler: a bounded number of goroutines evaluate queries at a time. Light
//     queries take CPU slots before heavy ones. Yielder is what a running query
//     calls regularly to give its slot to others.
//   - Tracker: counts the memory, the series and the samples of one query against
//     its limits and against the Memory of all queries.
//   - TextLimits: bounds a query's text before it is parsed.
//
// A query passes them in this order:
//
//	text ─▶ TextLimits ─▶ Queue ─▶ Scheduler ─▶ evaluation ─▶ encoding of the answer
//	                                                 └─ Tracker, Yielder ─┘
//
// The package knows nothing of plans, operators or storage.
package admission
