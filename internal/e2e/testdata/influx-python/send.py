# Writes points with the Python client of InfluxDB 1: python3 send.py PORT TIME-IN-SECONDS
import json
import sys

from influxdb import InfluxDBClient

client = InfluxDBClient(host="127.0.0.1", port=int(sys.argv[1]), database="py1")
client.ping()
client.create_database("py1")
client.write_points(
    [{"measurement": "py_air", "tags": {"city": "Bergen, NO"}, "time": int(sys.argv[2]), "fields": {"celsius": 0.1, "drops": 7, "rain": True, "note": "x"}}],
    time_precision="s",
)
names = {
    "databases": [d["name"] for d in client.get_list_database()],
    "measurements": [m["name"] for m in client.get_list_measurements()],
}
print(json.dumps(names))
