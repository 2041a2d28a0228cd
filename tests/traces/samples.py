# ruff: noqa: E501 - a row of a table is one line
"""A small valid file of every trace format, written for the tests (no published rows)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Sample:
    """Files of one format.

    Parameters
    ----------
    text: the file that is changed by mutations. name: its name. beside: further files, name -> text.
    folder: the location is the folder, not the file. options: what the format needs, as `key=value&...`, where
    FOLDER stands for the folder. bare: a bare path is recognised.
    """

    name: str
    text: str
    jobs: int
    beside: dict[str, str] = field(default_factory=dict)
    folder: bool = False
    options: str = ""
    bare: bool = True

    def write(self, folder: Path, text: str | bytes | None = None) -> tuple[Path, str]:
        """Write the files (with `text` instead of the valid one); return location and options."""
        for name in (self.name, *self.beside):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
        data = self.text if text is None else text
        (folder / self.name).write_bytes(data if isinstance(data, bytes) else data.encode("utf-8", "replace"))
        for name, other in self.beside.items():
            (folder / name).write_text(other, encoding="utf-8")
        return folder if self.folder else folder / self.name, self.options.replace("FOLDER", str(folder))


THROUGHPUTS = """{"v100": {"('ResNet-18 (batch size 16)', 1)": {"null": 10.0},
 "('ResNet-18 (batch size 16)', 2)": {"null": 18.0}, "('LM (batch size 10)', 1)": {"null": 20.0}},
 "k80": {"('ResNet-18 (batch size 16)', 1)": {"null": 2.0}, "('ResNet-18 (batch size 16)', 2)": {"null": 3.0},
 "('LM (batch size 10)', 1)": {"null": 5.0}}}
"""

SAMPLES: dict[str, Sample] = {
    "openb": Sample(
        "openb_pod_list_default.csv",
        "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,scheduled_time\n"
        "pod-0,12000,16384,1,1000,,LS,Running,0,500,0\n"
        "pod-1,6000,12288,1,460,V100M16|V100M32,LS,Succeeded,10,400,15\n"
        "pod-2,4000,8192,2,1000,,BE,Failed,20,90,40\n"
        "pod-3,4000,8192,0,0,,BE,Pending,30,90,\n",
        3,
        {
            "openb_node_list_all_node.csv": "sn,cpu_milli,memory_mib,gpu,model\nn-0,64000,262144,2,P100\nn-1,96000,1024,0,\n"
        },
        folder=True,
    ),
    "philly": Sample(
        "philly.csv",
        "timestamp,duration,num_gpus,gpu_time,cluster\n"
        "2017-10-09 07:01:55,66.0,1,66.0,11cb48\n"
        "2017-10-09 06:13:03,2951.0,8,23608.0,6214e9\n"
        "2017-09-29 07:58:32,860662.0,2,1721324.0,6c71a0\n",
        3,
    ),
    "philly-raw": Sample(
        "cluster_job_log",
        """[
 {"status": "Pass", "vc": "ee9e8c", "jobid": "application_1", "submitted_time": "2017-10-09 07:01:55", "user": "u1",
  "attempts": [{"start_time": "2017-10-09 07:02:53", "end_time": "2017-10-09 09:00:00",
   "detail": [{"ip": "m1", "gpus": ["gpu0", "gpu1"]}]}]},
 {"status": "Killed", "vc": "11cb48", "jobid": "application_2", "submitted_time": "2017-10-09 08:00:00", "user": "u2",
  "attempts": [{"start_time": "2017-10-09 08:10:00", "end_time": "None",
   "detail": [{"ip": "m2", "gpus": ["gpu0"]}]}]},
 {"status": "Failed", "vc": "11cb48", "jobid": "application_3", "submitted_time": "2017-10-09 08:00:00", "user": "u2",
  "attempts": []}
]
""",
        2,
        folder=True,
    ),
    "pai": Sample(
        "pai_task_table.csv",
        "job-0,worker,1.0,Terminated,1000.0,2000.0,600.0,29.296875,50.0,T4\n"
        "job-1,worker,4.0,Failed,1500.0,1800.0,600.0,58.0,100.0,V100\n"
        "job-1,ps,1.0,Failed,1500.0,1800.0,600.0,10.0,0.0,\n"
        "job-2,tensorflow,1.0,Running,1700.0,,600.0,29.0,200.0,MISC\n",
        4,
        {
            "pai_job_table.csv": "job-0,i0,ann,Terminated,990.0,2000.0\njob-1,i1,bob,Failed,1490.0,1800.0\n"
            "job-2,i2,bob,Running,1690.0,\n"
        },
        folder=True,
    ),
    "pai-sim": Sample(
        "pai_job.csv",
        "job_id,user,num_gpu,num_cpu,num_inst,gpu_type,submit_time,duration,wait_time\n"
        "0,ann,0.5,6.0,1,T4,0.0,100.0,3.0\n"
        "1,bob,8.0,48.0,2,V100,30.0,2000.0,5.0\n"
        "2,bob,1.0,8.0,1,MISC,70.0,50.0,0.0\n",
        3,
    ),
    "helios": Sample(
        "cluster_log.csv",
        "job_id,user,vc,gpu_num,cpu_num,node_num,state,submit_time,start_time,end_time,duration,queue\n"
        "11,uA,vcX,8,64,1,COMPLETED,2020-06-09 18:41:01,2020-06-09 18:41:31,2020-06-09 19:41:31,3600,30\n"
        "12,uB,vcX,16,64,2,CANCELLED,2020-06-09 18:42:00,2020-06-09 18:42:00,2020-06-09 18:42:10,10,0\n"
        "13,uB,vcY,0,4,1,FAILED,2020-06-09 18:43:00,2020-06-09 18:43:00,2020-06-09 18:43:10,10,0\n",
        2,
        {"cluster_gpu_number.csv": "date,vcX,vcY,total\n2020-06-09,16,8,24\n"},
        folder=True,
    ),
    "venus-counts": Sample(
        "cluster_throughput.csv",
        "time,submit_job_all,start_job_all,end_job_all,submit_gpu_job,start_gpu_job,end_gpu_job,submit_gpu_num,start_gpu_num,end_gpu_num\n"
        "2020-04-01 00:00:00,5,5,4,2,2,2,9,9,2\n"
        "2020-04-01 00:10:00,4,4,4,3,3,2,3,3,2\n"
        "2020-04-01 00:20:00,0,0,6,0,0,4,0,0,8\n",
        0,
    ),
    "philly-nodes": Sample(
        "philly_node_sequence.csv",
        "time,active,total\n2017-10-03 00:00:00,300,400\n2017-10-03 00:01:00,310,400\n2017-10-03 00:03:00,200,400\n",
        0,
    ),
    "earth-minutes": Sample(
        "vcA/cluster_sequence_vc.csv",
        "time,running_gpujob_num,pending_gpujob_num,total_gpu_num,running_gpu_num,pending_gpu_num\n"
        "2020-05-01 00:00:00,2,0,16,10,0\n"
        "2020-05-01 00:01:00,3,1,16,16,8\n",
        0,
        {
            "vcB/cluster_sequence_vc.csv": "time,running_gpujob_num,pending_gpujob_num,total_gpu_num,running_gpu_num,pending_gpu_num\n"
            "2020-05-01 00:00:00,1,0,8,1,0\n2020-05-01 00:01:00,0,0,8,0,0\n"
        },
        folder=True,
    ),
    "acme": Sample(
        "trace_seren.csv",
        "job_id,user,node_num,gpu_num,cpu_num,type,state,submit_time,start_time,end_time,duration,queue,gpu_time\n"
        "1,u1,1,8,128,SFT,FAILED,2023-03-01 00:18:22+08:00,2023-03-01 00:18:54+08:00,2023-03-01 00:20:51+08:00,117,32,936.0\n"
        "2,u2,2,16,256,Pretrain,COMPLETED,2023-03-01 01:18:22+08:00,2023-03-01 01:18:54+08:00,"
        "2023-03-01 03:20:51+08:00,7317,32,117072.0\n",
        2,
    ),
    "dlrm2025": Sample(
        "disaggregated_DLRM_trace.csv",
        "instance_sn,role,app_name,cpu_request,cpu_limit,gpu_request,gpu_limit,rdma_request,rdma_limit,memory_request,"
        "memory_limit,disk_request,disk_limit,max_instance_per_node,creation_time,scheduled_time,deletion_time\n"
        "i-0,CN,app-0,64,64,0,0,25,25,320.0,320.0,100.0,100.0,-1,10.0,12.0,5000.0\n"
        "i-1,HN,app-0,8,8,1,1,25,25,64.0,64.0,100.0,100.0,2,20.0,25.0,\n"
        "i-2,HN,app-1,8,8,1,1,25,25,64.0,64.0,100.0,100.0,-1,,,7000.0\n",
        3,
    ),
    "spot2026": Sample(
        "job_info_df.csv",
        "job_name,organization,gpu_model,cpu_request,gpu_request,worker_num,submit_time,duration,job_type\n"
        "1,13,A10,20,1,1,0,1000,HP\n"
        "2,13,A10,8,0.5,1,100,3000,Spot\n"
        "3,57,A800,15,8,4,200,41060,Spot\n",
        3,
        {"node_info_df.csv": "gpu_model,gpu_capacity_num,cpu_num,node_name\nA10,1,128,0\nA800,8,192,1\n"},
        folder=True,
    ),
    "gaia": Sample("pai_1k.csv", "arrival_time,length,cpus\n0.0,6302.0,1\n68.0,1000.0,1\n463.0,1570.0,3\n", 3),
    "chronus": Sample(
        "trace_job_Philly.csv",
        "job_id,user,num_gpu,submit_time,iterations,model_name,duration,interval,expect_time_list,expect_value_list,"
        "best_effort,job_type\n"
        "0,vc_1,4,12,6910,resnet101,211,8,282,10,0,strict\n"
        "1,vc_2,1,19,8897,vgg16,31,6,88-120,10-5,0,soft\n"
        "2,vc_2,1,25,7676,alexnet,106,24,241,10,1,best\n",
        3,
    ),
    "tiresias": Sample(
        "60_job.csv",
        "job_id,num_gpu,submit_time,iterations,model_name,duration,interval\n"
        "0,1,0,606,vgg19,164,30\n1,8,30,133,vgg11,147,23\n2,2,53,157,inception4,127,26\n",
        3,
    ),
    "muri": Sample(
        "trace1.csv",
        "job_id,num_gpu,submit_time,iterations,model_name,batch_size,duration,interval,iteration_time,resource_time_0,"
        "resource_time_1,resource_time_2,priority\n"
        "0,1,0,1000,resnet18,64,200000,0,200,100,90,0,0\n"
        "1,4,60000,500,bert,8,300000,60000,600,100,400,90,0\n",
        2,
    ),
    "gavel": Sample(
        "small.trace",
        "ResNet-18 (batch size 16)\tpython3 main.py --data_dir=%s/cifar10 --batch_size 16\timage_classification/cifar10\t"
        "--num_steps\t1\t1000\t2\t1\t-1.000000\t0\n"
        "LM (batch size 10)\tpython3 main.py --cuda --data %s/wikitext2 --batch_size 10\tlanguage_modeling\t"
        "--steps\t1\t4000\t1\t1\t-1.000000\t120.5\n",
        2,
        {"simulation_throughputs.json": THROUGHPUTS},
        options="throughputs=FOLDER/simulation_throughputs.json",
    ),
    "shockwave": Sample(
        "2_jobs.trace",
        "LM (batch size 10)\tpython3 main.py --cuda --data %s/wikitext2 --batch_size 10\tlanguage_modeling\t--steps\t1\t"
        "134583\t1\tstatic\t1\t-1.000000\t1418\t0\n"
        "ResNet-18 (batch size 16)\tpython3 main.py --data_dir=%s/cifar10 --batch_size 16\t"
        "image_classification/cifar10\t--num_steps\t1\t143450\t2\taccordion\t1\t-1.000000\t3338\t55\n",
        2,
        {"tacc_throughputs.json": THROUGHPUTS},
        options="throughputs=FOLDER/tacc_throughputs.json",
    ),
    "slurm": Sample(
        "jobs.txt",
        "JobIDRaw|JobID|User|Account|Partition|Submit|Start|End|TimelimitRaw|State|NNodes|NCPUS|ReqMem|ReqTRES|AllocTRES\n"
        "1|1|ann|nlp|gpu|2024-03-01T10:00:00|2024-03-01T10:05:00|2024-03-01T11:05:00|60|COMPLETED|2|64|4Gn|gres/gpu=16|"
        "gres/gpu:a100=16,gres/gpu=16\n"
        "1.batch|1.batch||||2024-03-01T10:05:00|2024-03-01T10:05:00|2024-03-01T11:05:00||COMPLETED|1|32|||\n"
        "2|2_4|bob|cv|gpu|2024-03-01T10:01:00|2024-03-01T10:06:00|Unknown|60|RUNNING|1|8|16G|gres/gpu:v100=1|\n"
        "3|3|bob|cv|gpu|2024-03-01T10:02:00|Unknown|2024-03-01T10:30:00|UNLIMITED|CANCELLED by 7|1|8|1Gc|gres/gpu=1|\n",
        2,
    ),
    "supercloud": Sample(
        "slurm-log.csv",
        "id_job,id_array_job,id_array_task,id_user,nodes_alloc,cpus_req,mem_req,partition,state,timelimit,time_submit,"
        "time_eligible,time_start,time_end,time_suspended,tres_alloc,tres_req,gres_used\n"
        "826,5,1,11,2,80,9223372036854784308,normal,3,1440,1614557000,1614557000,1614557100,1614558000,0,"
        '"1=80,2=340000,4=2,1002=4","1=80,2=340000,4=2,1002=4",gpu:volta:2\n'
        '827,7,1,12,1,8,100,normal,1,4294967295,1614557000,1614557000,1614557700,0,0,"","1=8,4=1,1002=1",\n'
        '828,7,2,12,1,8,100,normal,3,60,1614557000,1614557000,1614557700,1614557900,0,"","1=8,4=1",\n',
        2,
    ),
    "swf": Sample(
        "log.swf",
        "; Version: 2.2\n; MaxNodes: 8\n; MaxProcs: 64\n; UnixStartTime: 878000000\n; TimeZoneString: Europe/Berlin\n"
        "1 0 10 100 4 -1 -1 4 200 1024 1 3 1 -1 1 -1 -1 -1\n"
        "2 5 -1 -1 -1 -1 -1 8 200 -1 5 3 1 -1 1 -1 -1 -1\n"
        "3 6 0 30 2 -1 -1 2 -1 -1 2 3 1 -1 1 -1 -1 -1\n"
        "3 6 0 30 2 -1 -1 2 -1 -1 3 3 1 -1 1 -1 -1 -1\n",
        2,
    ),
    "native": Sample(
        "jobs.csv",
        "job_id,user,submit_s,duration_s,tasks,gpus,gpu_models,preemptible,deadline_s,status,colour,origin\n"
        "a,ann,0,100.5,1,8,A100|V100,true,,completed,red,2020-07-01T08:00:00\n"
        "b,bob,12.5,3600,2,1,,false,9000,censored,blue,2020-07-01T08:00:00\n",
        2,
    ),
}
"""Format name -> its sample; `synthetic` and `gavel-jobs` read no jobs."""
