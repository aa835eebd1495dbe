"""What else settings, options and commands are called: tables of the words of other programs.

A word leads to what means it here, as an offer in a message; spellings.py reads them.
"""

from minigan.words import VALUES, Synonyms

__all__ = ["COMMANDS", "ELSEWHERE", "FLAGS", "NAMES", "PLAYERS", "VALUES", "Synonyms"]

NAMES = (  # of settings; a player's name beside a word, as in lr_d or critic.lr, chooses among its settings
    Synonyms("lr lrs lr1 lr2 lrate learning_rate learning_rates learn_rate rates step_size stepsize "
             "alpha eta base_lr init_lr initial_lr max_lr optimizer_lr",
             "generator_optimizer.rate discriminator_optimizer.rate", "train --lr sets both"),
    Synonyms("beta betas beta1 beta_1 b1 adam_beta adam_beta1 adam_betas",
             "generator_optimizer.beta1 discriminator_optimizer.beta1"),
    Synonyms("beta2 beta_2 b2 adam_beta2 rho", "generator_optimizer.beta2 discriminator_optimizer.beta2"),
    Synonyms("eps epsilon adam_eps adam_epsilon",
             "generator_optimizer.epsilon discriminator_optimizer.epsilon"),
    Synonyms("mom nesterov mu", "generator_optimizer.momentum discriminator_optimizer.momentum"),
    Synonyms("optimizer optimiser optim opt optimizers optimizer_name optimizer_type algorithm solver "
             "update_rule adam sgd rmsprop",
             "generator_optimizer.name discriminator_optimizer.name", "a name, as adam"),
    Synonyms("hidden hiddens hidden_size hidden_sizes hidden_dim hidden_dims hidden_units hidden_layers "
             "hidden_width hidden_features hid nh n_hidden num_hidden layers layer n_layers num_layers "
             "layer_size layer_sizes dims width units n_units num_units neurons nodes depth architecture "
             "arch network net mlp h_dim hdim nf num_filters capacity",
             "generator.widths discriminator.widths", "a list, as 64,64: the units of each hidden layer"),
    Synonyms("ngf gf_dim", "generator.widths", "a list, as 64,64: the units of each hidden layer"),
    Synonyms("ndf df_dim", "discriminator.widths", "a list, as 64,64: the units of each hidden layer"),
    Synonyms("act act_fn act_func activation_fn activation_function nonlin nonlinearity non_linearity",
             "generator.activation discriminator.activation"),
    Synonyms("init weight_init init_weights weights_init initialization initialisation init_type "
             "init_method kernel_initializer", "generator.initializer discriminator.initializer"),
    Synonyms("epoch epochs n_epoch n_epochs num_epochs nb_epochs max_epochs iter iters iteration "
             "iterations n_iter n_iters niter num_iter num_iters num_iterations n_iterations max_iter "
             "max_iters max_iterations n_steps num_steps max_steps nsteps total_steps train_steps "
             "training_steps updates n_updates length duration kimg budget",
             "steps", "a step is a move of both players, on one batch"),
    Synonyms("steps iters iterations updates",
             "generator_steps discriminator_steps", "updates in one step"),
    Synonyms("n_critic ncritic critic_steps critic_iters critic_iterations critic_updates num_critic "
             "d_steps disc_steps d_iters n_disc n_dis ndis k k_d kd d_updates n_d", "discriminator_steps"),
    Synonyms("g_steps gen_steps g_iters n_gen ngen k_g kg g_updates n_g", "generator_steps"),
    Synonyms("bs b batches batch_size batchsize batch_sizes minibatch mini_batch minibatch_size mb "
             "mb_size bsz bsize samples_per_batch train_batch_size", "batch"),
    Synonyms("stratified stratify stratification strata sampling sampling_method qmc sobol lhs "
             "latin_hypercube antithetic", "draws", "independent or stratified"),
    Synonyms("gpu gpus cuda use_gpu use_cuda no_cuda no_gpu cpu device devices accelerator gpu_id gpu_ids "
             "platform mps cuda_visible_devices",
             "backend", "cupy is an NVIDIA GPU, numpy the CPU; or train --device cuda"),
    Synonyms("latents latent_dim latent_dims latent_size latent_dimension z z_dim zdim z_size "
             "dim_z nz n_z n_latent noise_dim noise_size noise_dims noise_dimension ndim_latent "
             "latent_space input_dim code_dim code_size latent_vector_size random_dim",
             "latent.size", "numbers in one z"),
    Synonyms("noise noise_type", "latent.distribution instance_noise observation_noise"),
    Synonyms("noise_distribution noise_dist latent_dist latent_noise latent_type prior z_dist "
             "z_distribution latent_prior", "latent.distribution"),
    Synonyms("input_noise noise_std noise_sd noise_sigma d_noise label_smoothing label_noise smoothing "
             "smooth", "instance_noise"),
    Synonyms("measurement_noise noise_level", "observation_noise"),
    Synonyms("loss losses loss_fn loss_type loss_function criterion cost gan gan_mode gan_type gan_loss "
             "mode adversarial_loss variant divergence obj kind wgan lsgan nsgan",
             "objective", "train --objective NAME"),
    Synonyms("wd weight_decay l1 l2 l2_reg regularization regularisation regularizer reg dropout "
             "spectral_norm sn", "r1 r2 wgan_gp clip", "weights do not decay; these bound D"),
    Synonyms("gp gradient_penalty grad_penalty gp_weight lambda lambda_gp lambdas lam gp_lambda lambda_ "
             "lmbda penalty penalties penalty_weight gp_coeff use_gp", "wgan_gp zero_gp r1 r2"),
    Synonyms("r1_gamma r1_weight lambda_r1 r1_reg r1_penalty gamma", "r1"),
    Synonyms("r2_gamma r2_weight lambda_r2 r2_reg r2_penalty", "r2"),
    Synonyms("clip_value clip_values weight_clip weight_clipping clip_weight clip_weights clamp "
             "clamp_value clipping clip_norm c", "clip", "it bounds D's parameters"),
    Synonyms("grad_clip clip_grad clip_grad_norm gradient_clip max_grad_norm gradient_clipping",
             "clip", "it bounds D's parameters; gradients are not clipped"),
    Synonyms("ema ema_decay ema_beta ema_rate use_ema moving_average polyak averaging swa avg g_ema "
             "average_type", "average.name average.decay", "as average.name=ema"),
    Synonyms("decay", "average.decay schedule.name", "weights do not decay; r1, r2 and clip bound D"),
    Synonyms("scheduler schedulers lr_scheduler lr_schedule lr_decay decay_type anneal annealing cosine "
             "sched schedule_type lr_policy", "schedule.name", "as constant or cosine"),
    Synonyms("warmup_steps warm_up n_warmup lr_warmup num_warmup_steps warmup_iters", "schedule.warmup"),
    Synonyms("final_lr min_lr lr_min eta_min end_lr lr_final", "schedule.final", "a factor on the rate"),
    Synonyms("law distribution dist density pdf p pdata p_data true_distribution real real_distribution "
             "target_distribution targets toy problem", "target"),
    Synonyms("dataset datasets csv npy file filename file_name path data_path data_file datafile "
             "dataset_path data_dir dataroot data_root input input_file train train_data train_file "
             "training_data x xs samples_file", "data", "the path of a CSV or NPY file"),
    Synonyms("column cols col features feature usecols use_columns feature_columns variables vars fields",
             "columns", "as 0,2 or names of the header"),
    Synonyms("normalize normalise normalized normalization normalisation standardize standardized "
             "standardization standardisation scale scaling scaler rescale zscore whiten", "standardise"),
    Synonyms("test_size test_split test_fraction test_ratio val_split val_size val_fraction "
             "validation_split validation valid_size holdout_fraction held_out train_size split",
             "holdout"),
    Synonyms("dropna drop_na drop_nan drop_nans drop_missing skip_nan skipna na_values missing nan "
             "ignore_nan", "drop_nonfinite"),
    Synonyms("random_seed random_state manual_seed seeds rng rng_seed rand_seed np_seed", "seed"),
    Synonyms("precision float type data_type fp16 fp32 half amp mixed_precision float_type bits x64",
             "dtype", "float32 or float64"),
    Synonyms("workers num_workers n_workers n_jobs jobs cores n_cores cpus n_threads num_threads "
             "nthreads processes", "threads"),
    Synonyms("eval_freq eval_interval eval_steps evaluate_every log_every log_interval log_freq "
             "logging_steps print_every print_freq print_interval display_freq report_every val_every "
             "sample_every sample_interval val_freq metrics_every", "eval_every"),
    Synonyms("save_every save_interval save_freq save_steps checkpoint checkpoints checkpoint_every "
             "checkpoint_interval checkpoint_freq ckpt_every snapshot",
             "checkpoint_seconds", "a time, in seconds"),
    Synonyms("keep keep_checkpoints max_to_keep save_total_limit save_top_k n_checkpoints",
             "checkpoint_keep"),
    Synonyms("n_samples num_samples nsamples samples n_eval num_eval eval_size n_eval_samples "
             "fid_samples", "eval_samples"),
    Synonyms("pac pacgan pack packs minibatch_discrimination", "packing"),
    Synonyms("unroll unrolling unrolled_steps unroll_steps n_unrolled", "unrolled"),
    Synonyms("unroll_rate unrolled_lr unroll_lr", "unrolled_rate"),
    Synonyms("update update_order updates_order play alternate alternating simultaneous extragradient "
             "lookahead", "order"),
    Synonyms("jit compile compiled graph executor cuda_graph cuda_graphs fast", "execution"),
    Synonyms("cga sga consensus_weight consensus_optimization", "consensus"),
    Synonyms("run_name experiment exp_name experiment_name title tag run", "name"),
    Synonyms("labels label_column label_col class_column class_label conditional y_column target_column "
             "n_classes num_classes", "label"),
    Synonyms("sep separator delimiter delim decimal thousands encoding skiprows skip_rows skip_header "
             "index_col feature_names names comment quotechar",
             "header", "the marks, the decimal comma and the names are read off the first lines"),
    Synonyms("shuffle shuffled drop_last replacement", "draws", "rows are always in random order"),
    Synonyms("sampler generator_rng prng philox", "random", "numpy or philox"),
)  # fmt: skip
PLAYERS = {  # words for a player, and what its settings begin with
    **dict.fromkeys(("g", "gen", "generator", "netg"), "generator"),
    **dict.fromkeys(("d", "disc", "dis", "discriminator", "critic", "netd"), "discriminator"),
}
ELSEWHERE = (  # what is no setting: where it is instead
    Synonyms("out output output_dir out_dir outdir save_dir savedir log_dir logdir results results_dir "
             "result_dir runs run_dir root work_dir checkpoint_dir",
             "where runs are made is --out DIRECTORY"),
    Synonyms("resume restart continue load load_from pretrained ckpt", "a run goes on with --resume RUN"),
    Synonyms("callback callbacks hook hooks on_step on_epoch_end on_epoch log_fn",
             "on_evaluation of mg.fit is given each row of metrics; a run's own are in metrics.jsonl", ""),
    Synonyms("verbose verbosity quiet silent progress", "-q says less"),
    Synonyms("preset config cfg base defaults",
             "a preset or a file of settings is an argument: minigan train PRESET, minigan train FILE.toml",
             ""),
    Synonyms("vary success set sweep grid", "a file with vary and set is a sweep: minigan sweep FILE"),
    Synonyms("batch_norm batchnorm bn layer_norm norm",
             "no layer is normalised: the networks are perceptrons, with widths and an activation"),
    Synonyms("plot plots plotting figure figures fig figs draw graphics images image_dir save_plots show "
             "show_plots make_plots save_figures visualize visualise",
             "a run draws one figure, at its end, and where matplotlib is missing none; there is no switch"),
    Synonyms("wandb tensorboard mlflow comet neptune aim logger logging log logs use_wandb tb tracker",
             "what a run measures is in its metrics.jsonl, a line per evaluation"),
    Synonyms("early_stopping early_stop patience",
             "a run has its steps; its best checkpoint is kept: --at best"),
)  # fmt: skip
FLAGS = (  # of options of commands, where a command has them
    Synonyms("out outdir out_dir output output_dir o save_dir dir directory logdir log_dir results runs "
             "run_dir folder destination", "--out"),
    Synonyms("out outfile out_file output file save to destination", "--output"),
    Synonyms("number num count rows size samples n n_samples num_samples n_rows", "-n"),
    Synonyms("continue restart load checkpoint from ckpt pretrained proceed", "--resume"),
    Synonyms("engine executor cluster distributed dask worker backend_engine launcher scheduler_type",
             "--workers", "local or dask"),
    Synonyms("resume_from", "--resume"),
    Synonyms("param params parameter option opt override setting settings hparam s D", "--set"),
    Synonyms("format as_json output_format", "--json"),
    Synonyms("csv_file input dataset train_data training_data file datafile data_path train_file", "--data"),
    Synonyms("dist distribution density pdf learn", "--target"),
    Synonyms("dry_run smoke test quick fast debug_run smoke_test", "--fast-dev-run"),
    Synonyms("quick_run short fast", "--quick"),
    Synonyms("show_config config_only list_settings dump_config print_settings", "--print-config"),
    Synonyms("anomaly detect_nan check_nan nan_check debug_nan", "--detect-anomaly"),
    Synonyms("require min_p threshold pvalue p_value ks alpha", "--require-ks"),
    Synonyms("step checkpoint epoch which best latest ckpt", "--at"),
    Synonyms("workers n_jobs processes parallel j n_workers cores", "--jobs"),
    Synonyms("seed offset draw random_state", "--index", "the same index, the same rows"),
    Synonyms("order_by sort_by by key", "--sort"),
    Synonyms("desc reverse r", "--descending"),
    Synonyms("check validate digest", "--verify"),
    Synonyms("npy numpy out output o save", "--npz"),
    Synonyms("silent no_progress s", "--quiet"),
    Synonyms("verbose trace traceback verbosity", "--debug"),
    Synonyms("plain colour no_ansi no_colour nocolor", "--no-color"),
    Synonyms("v V ver", "--version"),
)  # fmt: skip
COMMANDS = (  # of commands
    Synonyms("help man usage", "--help", "minigan COMMAND --help for one command"),
    Synonyms("version ver", "--version"),
    Synonyms("run fit learn start new begin", "train"),
    Synonyms("resume continue restart", "train --resume RUN"),
    Synonyms("config settings options print_config params", "train --print-config"),
    Synonyms("generate gen draw predict synth synthesize", "sample"),
    Synonyms("evaluate evaluation test judge score verdict validate metrics", "eval"),
    Synonyms("list ls runs table leaderboard diff", "compare"),
    Synonyms("show info checkpoint checkpoints view cat", "inspect"),
    Synonyms("benchmark time speed perf timing", "bench"),
    Synonyms("profile prof", "explain"),
    Synonyms("check env environment gpu diagnose system", "doctor"),
    Synonyms("tune grid search gridsearch hyperopt batch many", "sweep"),
    Synonyms("save convert dump", "export"),
    Synonyms("preset examples experiments models zoo list_presets", "presets"),
    Synonyms("gradients grad check_grad derivatives", "gradcheck"),
    Synonyms("plot_graph draw_graph dot", "graph"),
    Synonyms("complete autocomplete shell", "completion"),
)  # fmt: skip
