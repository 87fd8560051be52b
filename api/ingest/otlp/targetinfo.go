package otlp

import (
	"bytes"

	"tsdb/api/ingest/door"
	"tsdb/internal/model"
)

var targetName = []byte("target_info")

// maxTargetSamples bounds the samples of target_info for one resource of a request. If
// its data points span more time than that, the samples are further apart.
const maxTargetSamples = 1000

// addTargetInfo queues the samples of the current resource's target_info, which has its
// attributes as labels: one at the time of its last data point, and others before it, at
// most half a lookback delta apart, back to the first.
func (d *decoder) addTargetInfo(b *door.Batch, at int) error {
	r := &d.resources[len(d.resources)-1]
	if r.minNano > r.maxNano {
		return nil // no data points
	}
	attributes, identifying, identified := 0, 0, false
	var seen [3]bool
	ok := eachAttribute(r.message, tagResourceAttribute, func(a attribute) {
		attributes++
		for i, key := range [...][]byte{serviceName, serviceSpace, serviceInstance} {
			if !seen[i] && bytes.Equal(a.key, key) {
				seen[i] = true
				identifying++
			}
		}
		identified = identified || bytes.Equal(a.key, jobLabel) || bytes.Equal(a.key, instanceLabel)
	})
	if !ok {
		return door.Malformed("Resource", at)
	}
	if attributes == identifying || !identified && !seen[0] && !seen[2] {
		return nil // it would be without content or without a target
	}
	d.addTargetMetadata(b)
	d.hash = append(door.AppendHash(d.hash[:0], r.hash), byte(targetInfo))
	alias := door.AliasOf(b.Seed, d.hash)
	first, last := millis(r.minNano), millis(r.maxNano)
	step := d.rules.intervalMs
	if n := (last - first) / step; n >= maxTargetSamples {
		step = (last-first)/maxTargetSamples + 1
	}
	for t := first; t < last; t += step {
		if err := d.queueTarget(b, alias, t); err != nil {
			return err
		}
	}
	return d.queueTarget(b, alias, last)
}

func (d *decoder) queueTarget(b *door.Batch, alias model.Hash, t int64) error {
	if err := d.budget.take(sampleBytes); err != nil {
		return err
	}
	d.samples = append(d.samples, sample{t: t, v: 1, part: targetInfo, metric: uint32(len(d.resources) - 1)})
	b.Queue(alias)
	return b.FlushIfFull()
}

// targetLabels adds the labels of target_info of a resource, whose index is in the place
// of that of the metric. Without job and instance there is none.
func (d *decoder) targetLabels(s *sample, set *door.LabelSet) (samples int, err error) {
	r := &d.resources[s.metric]
	d.text.resetSeries()
	if !r.derived {
		r.derived = true
		if err := d.deriveResource(r, set); err != nil {
			return 0, err
		}
	}
	d.labels.reset()
	bad, err := d.addAttributes(set, r.message, tagResourceAttribute, true)
	if err != nil {
		return 0, err
	}
	if bad != nil {
		set.Add(door.MetricName, targetName)
		return 1, bad
	}
	d.addIdentity(r)
	if len(d.labels.get(jobLabel)) == 0 && len(d.labels.get(instanceLabel)) == 0 {
		return 0, nil
	}
	d.labels.set(door.MetricName, targetName)
	for _, l := range d.labels.list {
		set.Add(l.name, l.value)
	}
	return 1, nil
}
