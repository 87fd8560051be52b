package sets

import (
	"fmt"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

// Services is a fleet of service instances, scraped every 15 s without jitter. Each
// has eight counters of requests, which are reset about every ten days, and two
// gauges: a queue of integers and a temperature of two decimals. It is for long
// spans: a series has few bytes a day.
func Services(o Options) Set {
	return Set{
		Name:   "services",
		Groups: o.Groups,
		Group: func(i int) ([]Series, error) {
			times := o.times(15 * time.Second)
			base := labels.FromStrings("instance", fmt.Sprintf("instance-%04d:8080", i), "job", fmt.Sprintf("service-%02d", i%10))
			var all []Series
			add := func(name, label, value string, next func() float64) {
				b := labels.NewBuilder(base).Set(model.MetricNameLabel, name)
				if label != "" {
					b.Set(label, value)
				}
				all = append(all, Series{Labels: b.Labels(), Times: times, Values: column(len(times), next)})
			}
			step := o.step(15 * time.Second)
			resetEvery := int(10 * 24 * time.Hour / step)
			for k, code := range []string{"200", "201", "204", "301", "400", "404", "500", "503"} {
				r := o.random("requests "+code, i)
				total, mean := 0.0, float64(int(50)>>k)+0.5
				add("requests_total", "code", code, func() float64 {
					if r.IntN(resetEvery) == 0 {
						total = 0
					}
					total += float64(int(r.ExpFloat64() * mean))
					return total
				})
			}
			r := o.random("queue", i)
			queue := 20.0
			add("queue_length", "", "", func() float64 {
				queue = max(0, queue+float64(r.IntN(5)-2))
				return queue
			})
			r = o.random("temperature", i)
			level := 40.0
			add("temperature_celsius", "", "", func() float64 {
				level += 0.05*r.NormFloat64() + 0.001*(40-level)
				return float64(int(100*level)) / 100
			})
			return all, nil
		},
	}
}
