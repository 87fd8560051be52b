// Package admission decides which queries run, on how many CPU slots, and how much
// memory they may hold.
//
// Its types:
//
//   - Queue bounds the number of running queries, in light and heavy slots, and the
//     number of waiting queries.
//   - Scheduler bounds the number of goroutines that evaluate queries at a time.
//     Light queries get CPU slots before heavy ones. A running query calls its
//     Yielder regularly to give its CPU slot to others.
//   - Tracker counts the memory, series and samples of one query against its
//     limits and against the Memory of all queries.
//   - TextLimits bounds a query's text before it is parsed.
//
// A query passes through them in this order:
//
//	text ─▶ TextLimits ─▶ Queue ─▶ Scheduler ─▶ evaluation ─▶ encoding of the answer
//	                                                 └─ Tracker, Yielder ─┘
//
// The package does not depend on plans, operators or storage.
package admission
