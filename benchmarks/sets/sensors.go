package sets

import (
	"fmt"
	"math"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

// sensorStep is the time between two samples of a sensor.
const sensorStep = 10 * time.Second

// Sensors is a set of stations with a thermometer and a hygrometer each. They
// show two decimals of a daily cycle, weather that wanders, and noise of the
// sensor's own.
func Sensors(o Options) Set {
	return Set{
		Name:   "two-decimal sensors",
		Groups: o.Groups,
		Group: func(i int) ([]Series, error) {
			times := o.times(sensorStep)
			var all []Series
			for _, s := range []struct {
				name           string
				level, swing   float64 // of a day
				weather, noise float64 // deviation of a step and of a reading
			}{
				{"sensor_temperature_celsius", 18, 6, 0.02, 0.03},
				{"sensor_humidity_percent", 60, -15, 0.02, 0.03},
			} {
				r := o.random(s.name, i)
				level := s.level + 4*r.NormFloat64()
				phase := r.Float64()
				weather, at := 0.0, -1
				all = append(all, Series{
					Labels: labels.FromStrings(model.MetricNameLabel, s.name, "station", fmt.Sprintf("station-%03d", i)),
					Times:  times,
					Values: column(len(times), func() float64 {
						at++
						days := (time.Duration(at) * sensorStep).Hours() / 24
						weather += s.weather * r.NormFloat64()
						v := level + s.swing*math.Sin(2*math.Pi*(days+phase)) + weather + s.noise*r.NormFloat64()
						return math.Round(100*v) / 100
					}),
				})
			}
			return all, nil
		},
	}
}

// Uniform is a set of series of independent random numbers in [0, 1), which no
// codec compresses well.
func Uniform(o Options) Set {
	return Set{
		Name:   "uniform float64",
		Groups: o.Groups,
		Group: func(i int) ([]Series, error) {
			times := o.times(sensorStep)
			return []Series{{
				Labels: labels.FromStrings(model.MetricNameLabel, "random_uniform", "source", fmt.Sprintf("source-%03d", i)),
				Times:  times,
				Values: column(len(times), o.random("uniform", i).Float64),
			}}, nil
		},
	}
}
