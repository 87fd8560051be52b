package scrape

import (
	"cmp"
	"fmt"
	"net"
	"net/url"
	"slices"

	prommodel "github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/relabel"
	"github.com/prometheus/prometheus/scrape"

	"tsdb/api/prom"
	"tsdb/internal/model"
)

// Targets returns the targets as the API shows them, sorted by pool and address.
func (m *Manager) Targets() prom.Targets {
	manager := m.manager()
	if manager == nil {
		return prom.Targets{}
	}
	all := prom.Targets{Pools: manager.ScrapePools(), DroppedCounts: map[string]int{}}
	slices.Sort(all.Pools)
	b := labels.NewBuilder(labels.EmptyLabels())
	active, dropped := manager.TargetsActive(), manager.TargetsDropped()
	for _, pool := range all.Pools {
		from := len(all.Active)
		for _, t := range active[pool] {
			all.Active = append(all.Active, m.view(pool, t, b))
		}
		slices.SortFunc(all.Active[from:], func(a, b prom.Target) int {
			return cmp.Or(cmp.Compare(a.URL, b.URL), labels.Compare(a.Labels, b.Labels))
		})
		for _, t := range dropped[pool] {
			all.Dropped = append(all.Dropped, prom.DroppedTarget{Discovered: t.DiscoveredLabels(b), Pool: pool})
		}
		all.DroppedCounts[pool] = droppedCount(manager, pool, len(dropped[pool]))
	}
	return all
}

// droppedCount returns the number of dropped targets of a pool, of which listed ones are
// kept. Prometheus reads its own count without the lock of the pool, so it is asked only
// where keep_dropped_targets has cut the list.
func droppedCount(manager *scrape.Manager, pool string, listed int) int {
	job, err := manager.ScrapePoolConfig(pool)
	if err != nil || job.KeepDroppedTargets == 0 || uint(listed) < job.KeepDroppedTargets {
		return listed
	}
	return manager.TargetsDroppedCounts()[pool]
}

func (m *Manager) view(pool string, t *scrape.Target, b *labels.Builder) prom.Target {
	at := t.URL()
	v := prom.Target{
		Discovered: t.DiscoveredLabels(b), Labels: t.Labels(b), Pool: pool, URL: at.String(),
		LastScrape: t.LastScrape(), LastDuration: t.LastScrapeDuration(), Health: string(t.Health()),
		Interval: t.GetValue(prommodel.ScrapeIntervalLabel), Timeout: t.GetValue(prommodel.ScrapeTimeoutLabel),
		Metadata: func() map[string]model.Metadata { return metadataOf(t) },
	}
	if err := t.LastError(); err != nil {
		v.LastError = err.Error()
	}
	v.GlobalURL = m.global(at).String()
	return v
}

func metadataOf(t *scrape.Target) map[string]model.Metadata {
	all := make(map[string]model.Metadata)
	for _, md := range t.ListMetadata() {
		all[md.MetricFamily] = model.Metadata{Type: string(md.Type), Unit: md.Unit, Help: md.Help}
	}
	return all
}

// global returns the address of a target as others reach it: localhost is replaced by
// the host of the server, and the server's own port by its external address.
func (m *Manager) global(u *url.URL) *url.URL {
	external := m.opts.External
	switch host := u.Hostname(); {
	case external == nil, host != "localhost" && host != "127.0.0.1" && host != "::1":
	case u.Port() == m.opts.Port:
		u.Scheme, u.Host = external.Scheme, external.Host
	case u.Port() == "":
		u.Host = external.Hostname()
	default:
		u.Host = net.JoinHostPort(external.Hostname(), u.Port())
	}
	return u
}

// RelabelSteps returns what each relabelling rule of a pool's targets makes of labels.
func (m *Manager) RelabelSteps(pool string, ls labels.Labels) ([]prom.RelabelStep, error) {
	manager := m.manager()
	if manager == nil {
		return nil, fmt.Errorf("scrape pool %q not found", pool)
	}
	job, err := manager.ScrapePoolConfig(pool)
	if err != nil {
		return nil, err
	}
	steps := make([]prom.RelabelStep, 0, len(job.RelabelConfigs))
	b, keep := labels.NewBuilder(ls), true
	for _, rule := range job.RelabelConfigs {
		keep = keep && relabel.ProcessBuilder(b, rule)
		step := prom.RelabelStep{Rule: rule, Keep: keep}
		if keep {
			step.Output = b.Labels()
		}
		steps = append(steps, step)
	}
	return steps, nil
}
