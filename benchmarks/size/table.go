package main

import (
	"fmt"
	"io"
	"strings"

	"tsdb/benchmarks/server"
)

// writeTable writes the rows as Markdown. Ratios are tsdb's bytes, everything
// included, to those of each further server.
func writeTable(w io.Writer, servers []server.Server, rows []row) {
	fmt.Fprint(w, "| set | series | samples | XOR-120 |")
	for i, s := range servers {
		fmt.Fprintf(w, " %s: data | with index |", s.Name)
		if i > 0 {
			fmt.Fprint(w, " ratio |")
		}
	}
	fmt.Fprintf(w, " wanted |\n|---|%s---|\n", strings.Repeat("---:|", 3+3*len(servers)-1))
	for _, r := range rows {
		fmt.Fprintf(w, "| %s | %d | %.2f M | %.4f |", r.set.Name, r.series, float64(r.samples)/1e6, r.xor)
		ours := r.settled[0].Total()
		for i, a := range r.settled {
			fmt.Fprintf(w, " %.4f | %.4f |", r.perSample(a.Data), r.perSample(a.Total()))
			if i > 0 {
				fmt.Fprintf(w, " %.2f |", float64(ours)/float64(a.Total()))
			}
		}
		fmt.Fprintf(w, " %s |\n", r.goal)
	}
}

func (g goal) String() string {
	if g.ofVM > 0 {
		return fmt.Sprintf("ratio ≤ %.2f", g.ofVM)
	}
	return fmt.Sprintf("≤ %.2f", g.bytes)
}
